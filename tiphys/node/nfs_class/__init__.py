"""Volumes on NFS shares, a directory for each claim."""
