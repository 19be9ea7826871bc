"""The tables of merpati.toml, one noun a file; `config/document.py` puts them together."""
