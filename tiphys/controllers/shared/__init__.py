"""Helpers shared by several control loops: the state of pods, ownership, batches."""
