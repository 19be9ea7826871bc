"""Builds the parts of one worker, hands each to the next, runs them and stops them in order."""
