"""The ConfigMap kube-system/extension-apiserver-authentication: how other servers recognize this cluster's callers ("Configure the
Aggregation Layer"). Schedulers, controller managers and extension API servers read it to delegate authentication.

Several API servers may write it, so each adds its authorities to those that are there, and takes away only what has expired.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.apiserver.auth.request_header import STANDARD
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.settings import RequestHeaders

NAMESPACE: Final = "kube-system"
NAME: Final = "extension-apiserver-authentication"
REFRESH_SECONDS = 60.0
CLIENT_CA: Final = "client-ca-file"
FRONT_PROXY_CA: Final = "requestheader-client-ca-file"


class Write(Protocol):
    def __call__(self, method: str, obj: KubeObject) -> Awaitable[None]: ...


def combined(present: str, own: str, now: datetime) -> str:
    """The certificates of two bundles, without expired and unreadable ones; each once, our own first."""
    valid: dict[str, None] = {}
    for text in (own, present):
        try:
            certificates = x509.load_pem_x509_certificates(text.encode())
        except ValueError:
            continue
        for certificate in certificates:
            if certificate.not_valid_after_utc > now:
                valid[certificate.public_bytes(Encoding.PEM).decode()] = None
    return "".join(valid)


def authentication_data(
    present: Mapping[str, str], *, client_ca: str, front_proxy_ca: str, now: datetime, headers: RequestHeaders = STANDARD
) -> dict[str, str]:
    """The data of the ConfigMap, from that which it has."""
    data = {**present, CLIENT_CA: combined(present.get(CLIENT_CA, ""), client_ca, now)}
    if front_proxy_ca:
        data[FRONT_PROXY_CA] = combined(present.get(FRONT_PROXY_CA, ""), front_proxy_ca, now)
        data |= {name: json.dumps(_union(present.get(name, ""), values), separators=(",", ":")) for name, values in headers.data().items()}
    return data


def _union(present: str, own: tuple[str, ...]) -> list[str]:
    try:
        values = json.loads(present or "[]")
    except ValueError:
        values = []
    others = values if isinstance(values, list) else []
    return list(dict.fromkeys((*own, *(value for value in others if isinstance(value, str)))))


class AuthenticationTrust:
    """Keeps the ConfigMap like the authorities on disk, which may be renewed at any time."""

    def __init__(
        self, source: ObjectSource, write: Write, *, client_ca: Path, front_proxy_ca: Path | None, headers: RequestHeaders = STANDARD
    ) -> None:
        self._source = source
        self._write = write
        self._client_ca = client_ca
        self._front_proxy_ca = front_proxy_ca
        self._headers = headers

    async def refresh(self, now: datetime) -> None:
        """Write missing and outdated keys; raises OSError, BootstrapError."""
        present = self._source.get(core.ConfigMap, NAMESPACE, NAME)
        front = self._front_proxy_ca.read_text() if self._front_proxy_ca is not None else ""
        known = {} if present is None else present.data
        data = authentication_data(known, client_ca=self._client_ca.read_text(), front_proxy_ca=front, now=now, headers=self._headers)
        if present is None:
            await self._write("POST", core.ConfigMap(metadata=ObjectMeta(name=NAME, namespace=NAMESPACE), data=data))
        elif present.data != data:
            meta = ObjectMeta(name=NAME, namespace=NAMESPACE, resourceVersion=present.metadata.resourceVersion)
            await self._write("PUT", core.ConfigMap(metadata=meta, data=data))
