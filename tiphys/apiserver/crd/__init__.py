"""Custom resources: definitions become kinds that are served, see DESIGN.md."""
