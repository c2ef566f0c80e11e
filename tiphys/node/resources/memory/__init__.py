"""Memory of NUMA nodes that containers own: the policy Static of the memory manager."""
