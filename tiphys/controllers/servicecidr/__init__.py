"""Ranges of Service addresses: when they may be used, and when they may go."""
