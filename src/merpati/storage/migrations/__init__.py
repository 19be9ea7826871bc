"""Small numbered SQL files, one folder a kind of file; run in order, each once, never changed."""
