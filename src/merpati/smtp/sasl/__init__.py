"""How a login is proved (RFC 4422): both sides of each mechanism, without I/O, time or chance."""
