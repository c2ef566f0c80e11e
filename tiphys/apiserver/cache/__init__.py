"""Objects in memory, in front of the store: storage of kinds, watch caches, watchers, pages of lists."""
