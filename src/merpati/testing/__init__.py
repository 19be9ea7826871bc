"""Fakes and conformance checks. Shipped for those who build on Merpati; imported by tests alone."""
