"""Graceful shutdown of the node: its pods end in order of their priority before the machine does."""
