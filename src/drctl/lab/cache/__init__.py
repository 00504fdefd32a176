"""Valkey: one primary, two replicas and three sentinels, all real."""
