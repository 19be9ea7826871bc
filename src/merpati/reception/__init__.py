"""The talk with whoever brings mail: ports, sessions, logins."""
