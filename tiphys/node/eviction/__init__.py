"""Eviction by the node: pods that use more local storage than they may ("Node-pressure Eviction", "Local ephemeral storage")."""
