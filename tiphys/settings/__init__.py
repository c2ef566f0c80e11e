"""Mechanism of settings: typed parts, and the options of the command line bound to their fields. The map of it is in DESIGN.md."""
