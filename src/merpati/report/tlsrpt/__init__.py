"""Reports about TLS (RFC 8460): how connections to a domain went, day by day."""
