"""Taking mail out of the queue and to its recipients."""
