"""MTA-STS (RFC 8461): what a domain demands of the way to its hosts, found, fetched and kept."""
