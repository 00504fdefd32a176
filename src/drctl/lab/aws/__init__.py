"""Emulated, strict AWS control planes in front of the lab's real parts."""
