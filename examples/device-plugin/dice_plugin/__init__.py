"""A device plugin whose devices are dice: sources of random numbers, which every machine has."""
