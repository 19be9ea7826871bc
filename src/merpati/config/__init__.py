"""merpati.toml, read once and strictly: what an operator may say, and where they said it."""
