"""What the workers of a node know together: counts and levels in memory that all of them map."""
