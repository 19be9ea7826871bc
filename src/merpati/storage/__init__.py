"""SQLite files with one writer thread and group commit, and their numbered migrations."""
