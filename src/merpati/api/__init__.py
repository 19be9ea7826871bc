"""For programs: the operations of an operator as JSON over HTTP, and the door for metrics."""
