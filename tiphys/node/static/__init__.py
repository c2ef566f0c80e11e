"""Static pods: pods that the kubelet runs from files and a URL, without the API server."""
