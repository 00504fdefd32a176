"""What ``drctl explain`` says about each code."""

CODES: dict[str, str] = {}
