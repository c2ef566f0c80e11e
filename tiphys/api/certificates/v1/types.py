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
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""
    lastUpdateTime: Time | None = null()
    """Time of the last write of the condition."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""


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
    """Name of the requested signer, such as `kubernetes.io/kube-apiserver-client`."""
    expirationSeconds: int | None = None
    """For how many seconds the certificate should be valid, at least 600; the signer may decide otherwise."""
    usages: Annotated[list[str], Atomic()] = []
    """Requested usages of the key, such as `client auth`."""
    username: str = ""
    """Name of the requester; set by the server."""
    uid: str = ""
    """The UID of who asked; set by the server."""
    groups: Annotated[list[str], Atomic()] = []
    """The groups of who asked; set by the server."""
    extra: dict[str, list[str]] = {}
    """Extra attributes of the requester; set by the server."""


class CertificateSigningRequest(KubeObject):
    """Asks a signer for a certificate."""

    apiVersion: str = constant("certificates.k8s.io/v1")
    kind: str = constant("CertificateSigningRequest")
    spec: CertificateSigningRequestSpec = always(CertificateSigningRequestSpec)
    """Desired state of the certificate signing request."""
    status: CertificateSigningRequestStatus = always(CertificateSigningRequestStatus)
    """Observed state of the certificate signing request."""
