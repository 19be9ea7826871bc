"""What we may ask the DNS, and change in it. No other room knows the library that speaks it."""
