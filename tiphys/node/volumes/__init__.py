"""Volumes of pods: what is in them, how they come into being on the node, and how they go."""
