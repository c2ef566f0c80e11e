"""Volumes attached to nodes, and detached from them."""
