"""Horizontal autoscaling and scale: `autoscaling`."""
