"""Passwords that an LDAP server knows (RFC 4511): bind as the user, after a search if need be.

Ours to write: it needs four messages, and the libraries are either unkept (ldap3: 2021) and block,
or have to be compiled against OpenLDAP where they are installed (python-ldap, bonsai).
"""
