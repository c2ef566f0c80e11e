"""Control loop of growing claims: it says who expands their volumes."""
