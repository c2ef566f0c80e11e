"""API priority and fairness: requests run now, wait, or are rejected with a time to retry (DESIGN.md)."""
