"""BIMI (draft-brand-indicators-for-message-identification-14): a domain's logo beside its mail."""
