"""A helper module of the entry script."""

WORDS = ["from", "a", "helper"]
