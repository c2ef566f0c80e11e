"""Snapshots of volumes: the loop that is common to all drivers, and the one that talks to a driver."""
