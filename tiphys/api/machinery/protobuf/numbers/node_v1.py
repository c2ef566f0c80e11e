"""Field numbers of node/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
Overhead podFixed
RuntimeClass metadata handler overhead scheduling
Scheduling nodeSelector tolerations
"""
