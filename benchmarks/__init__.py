"""Measurements, each printed by a command; `python -m benchmarks` is the table of the field."""
