"""Prometheus-shaped monitoring of the estate: real scrapes, a small part of its query language."""
