"""DMARC (RFC 9989): whether the domain in From stands behind a message, and what it asks for."""
