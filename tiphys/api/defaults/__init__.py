"""What the API server fills in where the user left something out, by kind, with the values of v1.

Functions change their argument in place, are pure and idempotent, and expect canonical quantities.
"""
