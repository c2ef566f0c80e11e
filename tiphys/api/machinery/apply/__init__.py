"""Field ownership and server-side apply ("Server-Side Apply"). The map of it is in DESIGN.md."""
