"""Volumes of pods: their content, creation and removal."""
