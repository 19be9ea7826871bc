"""What this server proves its names with: certificates as files, chosen by name, renewed in time.

Knows disk and ACME, and nothing of SMTP.
"""
