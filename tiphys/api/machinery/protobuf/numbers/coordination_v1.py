"""Field numbers of coordination/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
Lease metadata spec
LeaseSpec holderIdentity leaseDurationSeconds acquireTime renewTime leaseTransitions strategy preferredHolder
"""
