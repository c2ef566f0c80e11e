"""Kinds that are defined while the server runs: objects under a CustomResourceDefinition's schema. Pure.

A custom object has typed metadata and plain content (`CustomObject`). Each version of a definition makes a class of its own, whose
`__model__` answers what for built-in kinds follows from the type: decoding and pruning, encoding, ownership, OpenAPI.
See tiphys/apiserver/crd/DESIGN.md.
"""
