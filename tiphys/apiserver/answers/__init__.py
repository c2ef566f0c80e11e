"""Answers in the form that the client accepts: negotiation, JSON, tables, protobuf, compression, and failures as Status."""
