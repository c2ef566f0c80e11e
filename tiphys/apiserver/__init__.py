"""The API server. The map of it is in DESIGN.md."""
