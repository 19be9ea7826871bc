"""What we may ask the DNS. Only `client` knows the library that speaks it."""
