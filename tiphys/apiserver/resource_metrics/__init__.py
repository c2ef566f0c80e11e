"""Use of nodes and pods (`metrics.k8s.io`), measured at the kubelets on request."""
