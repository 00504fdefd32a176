"""Use cases: the only room that wires other rooms together."""
