"""What happened to every message, as frozen facts in the order they happened."""
