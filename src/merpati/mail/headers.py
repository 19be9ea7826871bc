"""The header section of a message, scanned without trust: iterative, bounded, never raising."""
