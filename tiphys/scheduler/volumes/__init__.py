"""Volumes in scheduling: where a pod's claims can be used, and the binding of those that wait for a pod ("Persistent Volumes")."""
