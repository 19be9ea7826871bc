"""Merpati, a complete mail system around SMTP. Import the part you need: nothing is re-exported."""

__version__ = "0.1.0"
