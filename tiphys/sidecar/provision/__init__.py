"""Volumes for claims: creation, and deletion once nobody needs them."""
