"""Field numbers of metrics/v1beta1, written by tools/protobuf_numbers.py."""

MESSAGES = """
ContainerMetrics name usage
NodeMetrics metadata timestamp window usage
PodMetrics metadata timestamp window containers
"""
