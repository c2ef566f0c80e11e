"""Dynamic resource allocation on the node: drivers prepare the claims of pods ("Dynamic Resource Allocation", KEP-4381)."""
