"""Checks that kinds share: metadata, addresses, conditions, index lists, options of the verbs."""
