"""Registration of plugins of the kubelet, whatever their type: drivers of storage, device plugins, drivers of dynamic resources."""
