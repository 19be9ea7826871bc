"""Mail that was accepted and is not finished yet."""
