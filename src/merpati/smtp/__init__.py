"""How hosts talk: SMTP, submission and LMTP, both sides, without I/O. Usable alone."""
