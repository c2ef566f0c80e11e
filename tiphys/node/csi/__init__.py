"""Drivers of the Container Storage Interface on a node: their registration, and their volumes."""
