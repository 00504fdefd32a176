"""A runbook as a drawing: for a terminal, for Markdown, for Graphviz, and as a picture."""
