"""What the workers of one machine know together: counts and levels in memory that all of them map."""
