"""Field numbers of scheduling/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
PriorityClass metadata value globalDefault description preemptionPolicy
"""
