"""Horizontal pod autoscaling."""
