"""What a message is: plain values that every part speaks of. No I/O, no time, no chance."""
