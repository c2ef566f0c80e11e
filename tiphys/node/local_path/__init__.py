"""Volumes on the node's own disk, with enforced sizes: the driver of the class `local-path`."""
