"""What is wise, as rules over a plan: each a file, each with an id for ``drctl explain``."""
