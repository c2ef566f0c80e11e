"""API priority and fairness: who runs now, who waits, and who is told to come back (DESIGN.md)."""
