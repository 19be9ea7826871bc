"""Reports about a domain's mail (RFC 9990): what others tell us, and what we tell others."""
