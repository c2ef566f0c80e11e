"""The kubelet's server: routes, endpoints, and sessions of exec, attach and port-forward."""
