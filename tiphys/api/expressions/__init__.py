"""Functions of Kubernetes for expressions: quantities, versions, addresses ("Common Expression Language in Kubernetes")."""
