"""One container: configuration, environment, security, image pulls, probes, hooks and logs."""
