"""Revisioned keys and bytes: the contract (`tiphys.store.contract`), its backends, and `open_store` that picks one by URL."""
