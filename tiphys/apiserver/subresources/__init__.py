"""Subresources, a module each."""
