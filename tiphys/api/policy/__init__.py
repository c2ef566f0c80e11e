"""Disruption budgets and evictions: `policy`."""
