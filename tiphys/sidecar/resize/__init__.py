"""Volumes that grow, and volumes whose attributes change."""
