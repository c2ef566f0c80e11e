"""Parts of the kubelet's server (`tiphys.node.serve.server`): one module per thing that it answers, or asks before it answers."""
