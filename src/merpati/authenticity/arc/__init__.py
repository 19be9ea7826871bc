"""ARC (RFC 8617): what those who passed a message on found, each sealed by the next."""
