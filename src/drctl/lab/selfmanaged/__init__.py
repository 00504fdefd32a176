"""PostgreSQL servers that the estate's owner manages."""
