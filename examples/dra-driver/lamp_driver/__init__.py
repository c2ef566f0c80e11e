"""Sample driver of dynamic resource allocation: lamps of several colors."""
