"""The embedded two-region estate: real processes behind emulated control planes."""
