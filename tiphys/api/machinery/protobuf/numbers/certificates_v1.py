"""Field numbers of certificates/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
CertificateSigningRequest metadata spec status
CertificateSigningRequestCondition type reason message lastUpdateTime lastTransitionTime status
CertificateSigningRequestSpec request username uid groups usages extra signerName expirationSeconds
CertificateSigningRequestStatus conditions certificate
"""
