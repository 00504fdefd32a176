"""The vocabulary of steps: contracts for every vendor, no vendor."""
