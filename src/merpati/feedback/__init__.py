"""What others report of us: how our mail fared with them, and their connections with us."""
