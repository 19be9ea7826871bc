"""Bearer tokens of an OpenID provider (RFC 6750): read here (RFC 9068, 7519, 8725) or asked about
there (RFC 7662). Needs the extra `oauth`."""
