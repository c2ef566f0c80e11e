"""Finalizers that keep claims, volumes and classes of attributes while something uses them."""
