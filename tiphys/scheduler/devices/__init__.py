"""Devices for claims of pods ("Dynamic Resource Allocation"; KEP-4381)."""
