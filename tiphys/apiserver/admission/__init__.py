"""Admission: additions to objects, and demands on them beyond their own validity. The map of it is in DESIGN.md."""

from tiphys.apiserver.admission.chain import AdmissionChain, AdmissionPlugin, AdmissionRequest, NotYet, Operation

__all__ = ["AdmissionChain", "AdmissionPlugin", "AdmissionRequest", "NotYet", "Operation"]
