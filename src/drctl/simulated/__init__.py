"""The model estate in virtual time: the same contracts, chosen faults."""
