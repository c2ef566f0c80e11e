"""Garbage collection on a node: images, dead containers, logs, and what pods left behind ("Garbage Collection")."""
