"""Hollow nodes: many nodes in one process whose pods only look as if they ran."""
