"""Promises of the engines as checks: each list runs on every engine of its kind."""
