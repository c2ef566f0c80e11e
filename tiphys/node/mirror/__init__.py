"""Mirror pods in kube-system for the processes that make up this node: server, kubelet and containerd."""
