"""Options shared by several verbs, and their conversion to settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from tiphys.api.helpers.sysctls import AllowedSysctls
from tiphys.cli.errors import Failure
from tiphys.daemon.settings import ClusterSettings, SettingsError, default_data_dir, load

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """Parse a duration such as 3600, 90m, 24h or 1h30m into seconds; raises click.BadParameter."""
    parts = re.findall(r"(\d+)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"{text!r} is not a duration such as 90m, 24h or 3600")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _sysctls(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        AllowedSysctls.of(name.strip() for name in (text or "").split(",") if name.strip())
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return text


_OPTIONS = (
    click.option("--bind", help="IP address that the API server listens on (default 127.0.0.1).", metavar="ADDRESS"),
    click.option("--secure-port", type=click.IntRange(1, 65535), help="HTTPS port of the API server (default 6443)."),
    click.option("--store", help="URL of the store: sqlite:///PATH or memory:// (default: SQLite in the data directory).", metavar="URL"),
    click.option("--node-name", help="Name of this machine's Node (default: the host name).", metavar="NAME"),
    click.option("--kubelet-port", type=click.IntRange(1, 65535), help="HTTPS port of the kubelet (default 10250)."),
    click.option(
        "--healthz-port",
        type=click.IntRange(0, 65535),
        help="HTTP port of the kubelet's health check, 0 to disable it (default: 2 below --kubelet-port, 10248).",
    ),
    click.option("--healthz-bind-address", help="IP address of the kubelet's health check (default 127.0.0.1).", metavar="ADDRESS"),
    click.option(
        "--allowed-unsafe-sysctls",
        callback=_sysctls,
        help="Comma-separated unsafe sysctls, or patterns ending in *, that pods may set (default: none).",
        metavar="NAME,PREFIX*,...",
    ),
    click.option("--pod-max-pids", type=click.IntRange(-1), help="Maximum number of processes per pod, -1 for no limit (default 4096)."),
    click.option("--cluster-cidr", "pod_range", help="IPv4 range of pod addresses (default 10.42.0.0/16).", metavar="CIDR"),
    click.option("--service-cluster-ip-range", "service_range", help="IPv4 range of cluster IPs (default 10.43.0.0/16).", metavar="CIDR"),
    click.option(
        "--service-node-port-range", "node_ports", help="Port range of NodePort Services (default 30000-32767).", metavar="LOW-HIGH"
    ),
    click.option("--cluster-domain", "domain", help="DNS domain of the cluster (default cluster.local).", metavar="DOMAIN"),
    click.option(
        "--token-auth-file",
        type=click.Path(exists=True, dir_okay=False),
        help="CSV file of static bearer tokens, with token,user,uid,groups on each line (default: none).",
    ),
    click.option(
        "--requestheader-client-ca-file",
        type=click.Path(exists=True, dir_okay=False),
        help="CA bundle that verifies client certificates of front proxies (default: the cluster's front-proxy CA).",
    ),
    click.option(
        "--requestheader-allowed-names",
        help="Common names accepted in certificates of front proxies, empty for any (default front-proxy-client).",
        metavar="NAME,...",
    ),
    click.option(
        "--requestheader-username-headers",
        help="Headers that front proxies send the user name in (default X-Remote-User).",
        metavar="HEADER,...",
    ),
    click.option(
        "--requestheader-uid-headers",
        help="Headers that front proxies send the user's UID in (default X-Remote-Uid).",
        metavar="HEADER,...",
    ),
    click.option(
        "--requestheader-group-headers",
        help="Headers that front proxies send the user's groups in (default X-Remote-Group).",
        metavar="HEADER,...",
    ),
    click.option(
        "--requestheader-extra-headers-prefix",
        help="Prefixes of headers that front proxies send extra user attributes in (default X-Remote-Extra-).",
        metavar="PREFIX,...",
    ),
    click.option(
        "--enable-admission-plugins", help="Admission plugins to enable in addition to those enabled by default.", metavar="NAME,..."
    ),
    click.option("--disable-admission-plugins", help="Admission plugins to disable, among those enabled by default.", metavar="NAME,..."),
    click.option(
        "--max-requests-inflight",
        type=click.IntRange(1),
        help="Maximum number of non-mutating requests in flight (default 400). Priority and fairness shares out the sum of both limits.",
    ),
    click.option(
        "--max-mutating-requests-inflight", type=click.IntRange(0), help="Maximum number of mutating requests in flight (default 200)."
    ),
    click.option(
        "--request-timeout",
        type=seconds,
        help="Timeout of requests other than watches, such as 60s or 2m (default 60s).",
        metavar="DURATION",
    ),
    click.option(
        "--min-request-timeout", type=click.IntRange(1), help="Minimum duration of a watch, in seconds (default 1800).", metavar="SECONDS"
    ),
    click.option(
        "--shutdown-delay-duration",
        "shutdown_delay",
        type=seconds,
        help="Time to keep serving after a termination signal, with /readyz failing (default 0s).",
        metavar="DURATION",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
        help="Lowest level of messages to log (default INFO).",
    ),
)


def data_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--data-dir`, which every verb takes."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_data_dir,
        envvar="TIPHYS_DATA_DIR",
        help="Directory of the cluster's state (default: /var/lib/tiphys for root, else ~/.local/state/tiphys).",
        show_default=False,
    )(function)


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options of a cluster."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return data_dir_option(function)


def settings_of(data_dir: Path, given: dict[str, Any]) -> ClusterSettings:
    """Return the settings saved in the data directory, overridden by the given options; raises Failure when they are unusable."""
    try:
        settings = _merged(data_dir, given)
        settings.check()
    except SettingsError as error:
        raise Failure(str(error)) from error
    return settings


def _merged(data_dir: Path, given: dict[str, Any]) -> ClusterSettings:
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("token_auth_file", "requestheader_client_ca_file"):
        if name in given:
            given[name] = str(Path(given[name]).absolute())
    data_dir = data_dir.absolute()
    known = load(data_dir)
    if known is None:
        return ClusterSettings(data_dir=str(data_dir), **given)
    return msgspec.structs.replace(known, data_dir=str(data_dir), **given)
