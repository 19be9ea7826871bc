"""Telling people and programs what became of their mail."""
