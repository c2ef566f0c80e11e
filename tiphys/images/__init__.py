"""Images built from Debian packages, for machines without a registry. The map of it is in DESIGN.md."""
