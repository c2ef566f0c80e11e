"""Assignment of parts of the machine to single containers: cores, memory of NUMA nodes, devices."""
