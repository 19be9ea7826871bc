"""Who lives here: domains, users, aliases, and the secrets they log in with."""
