"""Parts of the kubelet's server (`tiphys.node.server`): one module per thing that it answers, or asks before it answers."""
