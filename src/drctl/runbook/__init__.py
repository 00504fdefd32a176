"""Text to a checked runbook."""
