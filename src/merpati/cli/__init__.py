"""For operators: one file a command group."""
