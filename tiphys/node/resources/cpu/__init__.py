"""Cores that containers own: the static policy of the CPU manager."""
