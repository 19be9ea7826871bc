"""Why mail did not arrive, whose fault that is, and what to do next, in plain words."""
