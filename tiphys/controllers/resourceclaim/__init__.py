"""Control loops of ResourceClaims: claims that pods get from templates, and claims that nothing uses any more."""
