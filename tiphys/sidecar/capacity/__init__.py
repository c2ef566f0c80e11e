"""Room for volumes, as schedulers read it."""
