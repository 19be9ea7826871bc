"""DKIM signatures (RFC 6376, 8301, 8463): keys, signing and verifying, without I/O."""
