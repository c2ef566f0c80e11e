"""Client of the Container Runtime Interface."""
