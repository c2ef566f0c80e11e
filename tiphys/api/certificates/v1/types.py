"""Certificate signing requests, certificates/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, MapList, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class CertificateSigningRequestCondition(Struct):
    """A decision about a request: `Approved`, `Denied` or `Failed`."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    reason: str = ""
    """Why the condition is as it is, in one word."""
    message: str = ""
    """Why the condition is as it is, for people."""
    lastUpdateTime: Time | None = null()
    """When the condition was last written."""
    lastTransitionTime: Time | None = null()
    """When the status last changed."""


class CertificateSigningRequestStatus(Struct):
    """Decision about a request, and the certificate that was issued."""

    conditions: Annotated[list[CertificateSigningRequestCondition], MapList("type")] = []
    """Aspects of how it stands, one of each type."""
    certificate: bytes = b""
    """The signed certificate, PEM in base64, possibly followed by those of its issuers."""


class CertificateSigningRequestSpec(Struct):
    """Requested certificate, and the identity of the requester."""

    request: bytes = b""
    """The certificate request, PEM in base64."""
    signerName: str = always(str)
    """Who is to sign, such as `kubernetes.io/kube-apiserver-client`."""
    expirationSeconds: int | None = None
    """For how many seconds the certificate should be valid, at least 600; the signer may decide otherwise."""
    usages: Annotated[list[str], Atomic()] = []
    """What the key is used for, such as `client auth`."""
    username: str = ""
    """Who asked; set by the server."""
    uid: str = ""
    """The UID of who asked; set by the server."""
    groups: Annotated[list[str], Atomic()] = []
    """The groups of who asked; set by the server."""
    extra: dict[str, list[str]] = {}
    """What else is known of who asked; set by the server."""


class CertificateSigningRequest(KubeObject):
    """Asks a signer for a certificate."""

    apiVersion: str = constant("certificates.k8s.io/v1")
    kind: str = constant("CertificateSigningRequest")
    spec: CertificateSigningRequestSpec = always(CertificateSigningRequestSpec)
    """What is wanted."""
    status: CertificateSigningRequestStatus = always(CertificateSigningRequestStatus)
    """What was observed."""
