"""A package, so that what its fixtures hold ends with its last test."""
