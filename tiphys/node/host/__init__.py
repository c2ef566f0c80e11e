"""The machine of the node: registration, status, limits of control groups, use, safe opening of files."""
