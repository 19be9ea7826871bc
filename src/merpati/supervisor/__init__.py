"""What only the process knows: sockets, privileges, signals, and the one who started it."""
