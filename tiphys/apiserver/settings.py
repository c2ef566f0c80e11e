"""Settings of an API server: those that options set, and with them the facts that the composition root adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tiphys.settings.network import NETWORK
from tiphys.settings.option import Option

LocalStorage = Literal["", "disk", "hollow"]
"""Local volumes: none, those of nodes with a disk, or those of hollow nodes, which always have room."""


class RequestHeaders(msgspec.Struct, frozen=True):
    """Trusted front proxies, and the headers in which they name their callers."""

    allowed_names: Annotated[
        tuple[str, ...],
        Option(
            "--requestheader-allowed-names", "Common names accepted in certificates of front proxies, empty for any.", metavar="NAME,..."
        ),
    ] = ("front-proxy-client",)
    """Common names of proxies' certificates; none means that every certificate of the authority will do."""
    username: Annotated[
        tuple[str, ...],
        Option("--requestheader-username-headers", "Headers that front proxies send the user name in.", metavar="HEADER,..."),
    ] = ("X-Remote-User",)
    uid: Annotated[
        tuple[str, ...], Option("--requestheader-uid-headers", "Headers that front proxies send the user's UID in.", metavar="HEADER,...")
    ] = ("X-Remote-Uid",)
    group: Annotated[
        tuple[str, ...],
        Option("--requestheader-group-headers", "Headers that front proxies send the user's groups in.", metavar="HEADER,..."),
    ] = ("X-Remote-Group",)
    extra_prefix: Annotated[
        tuple[str, ...],
        Option(
            "--requestheader-extra-headers-prefix",
            "Prefixes of headers that front proxies send extra user attributes in.",
            metavar="PREFIX,...",
        ),
    ] = ("X-Remote-Extra-",)

    def data(self) -> dict[str, tuple[str, ...]]:
        """The options by their names in the ConfigMap for servers that delegate authentication."""
        data = {
            "requestheader-allowed-names": self.allowed_names,
            "requestheader-extra-headers-prefix": self.extra_prefix,
            "requestheader-group-headers": self.group,
            "requestheader-username-headers": self.username,
        }
        return data | ({"requestheader-uid-headers": self.uid} if self.uid else {})

    def faults(self) -> list[str]:
        """Return the mistakes in the options, in upstream's words."""
        standard = {name.lower() for name in self.uid}
        if standard and "x-remote-uid" not in standard:
            return [
                "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work"
            ]
        return []


class ApiServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of an API server that options set."""

    bind: Annotated[str, Option("--bind", "IP address that the API server listens on.", metavar="ADDRESS")] = "127.0.0.1"
    port: Annotated[int, Option("--secure-port", "HTTPS port of the API server.", minimum=1, maximum=65535)] = 6443
    token_auth_file: Annotated[
        Path | None,
        Option("--token-auth-file", "CSV file of static bearer tokens, with token,user,uid,groups on each line.", default="none"),
    ] = None
    front_proxy_ca: Annotated[
        Path | None,
        Option(
            "--requestheader-client-ca-file",
            "CA bundle that verifies client certificates of front proxies.",
            default="the cluster's front-proxy CA",
        ),
    ] = None
    """The authority of front proxies, which may name callers in headers."""
    request_headers: RequestHeaders = RequestHeaders()
    enable_admission_plugins: Annotated[
        tuple[str, ...],
        Option("--enable-admission-plugins", "Admission plugins to enable in addition to those enabled by default.", metavar="NAME,..."),
    ] = ()
    disable_admission_plugins: Annotated[
        tuple[str, ...],
        Option("--disable-admission-plugins", "Admission plugins to disable, among those enabled by default.", metavar="NAME,..."),
    ] = ()
    max_requests_inflight: Annotated[
        int,
        Option(
            "--max-requests-inflight",
            "Maximum number of non-mutating requests in flight. Priority and fairness shares out the sum of both limits.",
            minimum=1,
        ),
    ] = 400
    max_mutating_requests_inflight: Annotated[
        int, Option("--max-mutating-requests-inflight", "Maximum number of mutating requests in flight.", minimum=0)
    ] = 200
    """Together the seats that priority levels share."""
    request_timeout: Annotated[
        float,
        Option("--request-timeout", "Timeout of requests other than watches, such as 60s or 2m.", metavar="DURATION", is_duration=True),
    ] = 60.0
    """Seconds that a request may take, unless it is a watch or goes on to a container."""
    min_request_timeout: Annotated[
        int, Option("--min-request-timeout", "Minimum duration of a watch, in seconds.", metavar="SECONDS", minimum=1)
    ] = 1800
    """Seconds for which a watch is served, at least; at most twice as many."""
    shutdown_delay: Annotated[
        float,
        Option(
            "--shutdown-delay-duration",
            "Time to keep serving after a termination signal, with /readyz failing.",
            metavar="DURATION",
            is_duration=True,
        ),
    ] = 0.0


DEFAULTS = ApiServerOptions()


class ApiServerSettings(ApiServerOptions, frozen=True, kw_only=True):
    """All settings of an API server. Files are PEM; ranges are CIDRs; `advertise` is the address that pods reach the server at."""

    advertise: str = "127.0.0.1"
    certificate: Path
    key: Path
    client_ca: Path
    service_account_key: Path
    kubelet_certificate: Path | None = None
    kubelet_key: Path | None = None
    local_kubelets: Mapping[str, tuple[str, int]] = {}
    """Addresses of kubelets on this machine, by node: for nodes that have no address beyond loopback."""
    service_range: str = NETWORK.service_range
    node_ports: range = NETWORK.node_port_range
    issuer: str = NETWORK.issuer
    local_storage: LocalStorage = ""
    """Local volumes that the nodes offer, with which a new cluster gets a default class."""
