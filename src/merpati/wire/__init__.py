"""Octets between hosts: the only place that opens SMTP sockets."""
