"""What several loops need: the state of pods, ownership, batches."""
