"""The container runtime of the node: our own containerd, its events, and its purge."""
