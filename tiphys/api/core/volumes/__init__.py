"""Volumes of pods and PersistentVolumes: defaults, and validation of each source."""
