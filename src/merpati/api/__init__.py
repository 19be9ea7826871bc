"""For programs: HTTP and JSON, on a Unix socket for our own commands and on TCP for monitoring."""
