"""The core group, v1: volumes made from objects of the API."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.reference import ObjectFieldSelector, ResourceFieldSelector
from tiphys.api.machinery.base import Atomic, Struct, always
from tiphys.api.meta.v1.meta import LabelSelector


class ClusterTrustBundleProjection(Struct):
    """Certificates from trust bundles, as one file."""

    name: str | None = None
    """One bundle, by name. Not together with signerName."""
    signerName: str | None = None
    """All bundles of a signer. Not together with name."""
    labelSelector: LabelSelector | None = None
    """Selection of the signer's bundles; none if absent, all if empty."""
    optional: bool | None = None
    """True if the pod starts without them."""
    path: str = always(str)
    """The file."""


class KeyToPath(Struct):
    """A key that becomes a file."""

    key: str = always(str)
    """The key."""
    path: str = always(str)
    """The file, relative to the volume and without `..`."""
    mode: int | None = None
    """Its permissions, 0 to 0777 (octal); those of the volume by default."""


class ConfigMapProjection(Struct):
    """A ConfigMap as files."""

    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    optional: bool | None = None
    """True if the ConfigMap or its keys may be missing."""
    name: str = ""
    """The ConfigMap in the pod's namespace."""


class ConfigMapVolumeSource(Struct):
    """A ConfigMap as files, which follow its changes."""

    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""
    optional: bool | None = None
    """True if the ConfigMap or its keys may be missing."""
    name: str = ""
    """The ConfigMap in the pod's namespace."""


class DownwardAPIVolumeFile(Struct):
    """A file that tells something about the pod; one of the two sources is set."""

    path: str = always(str)
    """The file, relative to the volume and without `..`."""
    fieldRef: ObjectFieldSelector | None = None
    """A field of the pod: name, namespace, uid, labels or annotations."""
    resourceFieldRef: ResourceFieldSelector | None = None
    """A request or limit of a container."""
    mode: int | None = None
    """Its permissions, 0 to 0777 (octal); those of the volume by default."""


class DownwardAPIProjection(Struct):
    """Files that tell about the pod."""

    items: Annotated[list[DownwardAPIVolumeFile], Atomic()] = []
    """The files."""


class DownwardAPIVolumeSource(Struct):
    """Files that tell about the pod, and follow its changes."""

    items: Annotated[list[DownwardAPIVolumeFile], Atomic()] = []
    """The files."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""


class PodCertificateProjection(Struct):
    """A private key and a certificate for the pod, renewed in time."""

    signerName: str = ""
    """Signer of the certificate."""
    keyType: str = ""
    """The kind of key, such as `ED25519` or `ECDSAP256`."""
    maxExpirationSeconds: int | None = None
    """Maximum validity of the certificate, in seconds; one day by default."""
    credentialBundlePath: str = ""
    """The file with key and certificates together."""
    keyPath: str = ""
    """The file with the key."""
    certificateChainPath: str = ""
    """The file with the certificates."""
    userAnnotations: dict[str, str] = {}
    """Wishes that are passed on to the signer."""


class ServiceAccountTokenProjection(Struct):
    """A token of the pod's service account, renewed in time."""

    audience: str = ""
    """Audience of the token; the API server if empty."""
    expirationSeconds: int | None = None
    """Validity in seconds, at least 600. 3600 by default."""
    path: str = always(str)
    """The file."""


class SecretProjection(Struct):
    """A Secret as files."""

    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    optional: bool | None = None
    """True if the Secret or its keys may be missing."""
    name: str = ""
    """The Secret in the pod's namespace."""


class VolumeProjection(Struct):
    """One of the sources that share a volume; exactly one field is set."""

    secret: SecretProjection | None = None
    """A Secret as files."""
    downwardAPI: DownwardAPIProjection | None = None
    """Files that tell about the pod."""
    configMap: ConfigMapProjection | None = None
    """A ConfigMap as files."""
    serviceAccountToken: ServiceAccountTokenProjection | None = None
    """A token of the pod's service account."""
    clusterTrustBundle: ClusterTrustBundleProjection | None = None
    """Certificates from trust bundles."""
    podCertificate: PodCertificateProjection | None = None
    """A private key and a certificate."""


class ProjectedVolumeSource(Struct):
    """Several sources in one directory."""

    sources: Annotated[list[VolumeProjection], Atomic()] = always(list)
    """The sources; no two may write the same file."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""


class SecretVolumeSource(Struct):
    """A Secret as files in memory, which follow its changes."""

    secretName: str = ""
    """The Secret in the pod's namespace."""
    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""
    optional: bool | None = None
    """True if the Secret or its keys may be missing."""
