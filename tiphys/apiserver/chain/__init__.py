"""The chain that every request passes up to its verb: application, routes, options, bodies, reviews."""
