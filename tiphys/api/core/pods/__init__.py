"""Pods, and templates of pods: defaults, validation, updates, warnings, columns and registration."""
