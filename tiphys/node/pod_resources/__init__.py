"""The PodResources API: which parts of the machine the containers of a node own (KEP-606, KEP-1884, KEP-2043, KEP-3695)."""
