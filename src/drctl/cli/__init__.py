"""Typer: flags in, exit code out. Modules here import only Typer at the top."""
