"""Libraries that only some need: how whoever lacks one gets it."""


def how_to_get(extra: str) -> str:
    """What to run for an extra of pyproject.toml. Nothing is released, so a checkout has it."""
    pip = f"pip install '.[{extra}]'"
    return f"Run in the checkout, with the pip of the server's own environment: {pip}"
