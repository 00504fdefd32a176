"""A toy operator: it acts on ``postgresql`` and ``Cluster`` resources with real PostgreSQL."""
