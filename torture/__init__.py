"""Proof that nothing is lost: Merpati is killed, cut off, filled up and starved, and counted.

`python -m torture` runs it; `tests/torture` runs the short forms.
"""
