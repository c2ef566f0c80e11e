"""Options that several verbs share, and how they become settings."""

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
    """Seconds, written as 3600, 90m, 24h or 1h30m; raises click.BadParameter."""
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
    click.option("--bind", help="Address that the API server listens on.", metavar="ADDRESS"),
    click.option("--secure-port", type=click.IntRange(1, 65535), help="Port of the API server (6443)."),
    click.option(
        "--store", help="Where state is kept: sqlite:///path or memory:// (by default a file in the data directory).", metavar="URL"
    ),
    click.option("--node-name", help="Name of this machine's node (the host name)."),
    click.option("--kubelet-port", type=click.IntRange(1, 65535), help="Port of the node agent (10250)."),
    click.option("--healthz-port", type=click.IntRange(0, 65535), help="Port of the node agent's plain health page (10248), 0 for none."),
    click.option("--healthz-bind-address", help="Address of the health page (127.0.0.1).", metavar="ADDRESS"),
    click.option(
        "--allowed-unsafe-sysctls", callback=_sysctls, help="Sysctls that pods may set besides the safe ones.", metavar="NAME,PREFIX*,..."
    ),
    click.option("--pod-max-pids", type=click.IntRange(-1), help="Processes of one pod at once (4096), -1 for no limit."),
    click.option("--cluster-cidr", "pod_range", help="Addresses of pods (10.42.0.0/16).", metavar="CIDR"),
    click.option("--service-cluster-ip-range", "service_range", help="Addresses of Services (10.43.0.0/16).", metavar="CIDR"),
    click.option("--service-node-port-range", "node_ports", help="Ports of NodePort Services (30000-32767).", metavar="LOW-HIGH"),
    click.option("--cluster-domain", "domain", help="Domain of cluster DNS (cluster.local)."),
    click.option("--token-auth-file", type=click.Path(exists=True, dir_okay=False), help="Static tokens: token,user,uid,groups a line."),
    click.option("--enable-admission-plugins", help="Plugins to run beside those that are on by default.", metavar="NAME,..."),
    click.option("--disable-admission-plugins", help="Plugins not to run, of those that are on by default.", metavar="NAME,..."),
    click.option(
        "--max-requests-inflight", type=click.IntRange(1), help="Requests under way at once (400), shared out by priority and fairness."
    ),
    click.option("--max-mutating-requests-inflight", type=click.IntRange(0), help="As many more under way at once (200)."),
    click.option("--request-timeout", type=seconds, help="How long a request may take: 60s, 2m (60s).", metavar="DURATION"),
    click.option("--min-request-timeout", type=click.IntRange(1), help="Seconds for which a watch is served, at least (1800)."),
    click.option(
        "--shutdown-delay-duration",
        "shutdown_delay",
        type=seconds,
        help="How long to serve after the signal to stop (0).",
        metavar="DURATION",
    ),
    click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False)),
)


def data_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--data-dir`, which every verb takes."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_data_dir,
        envvar="TIPHYS_DATA_DIR",
        help="Where the cluster's state lives.",
        show_default="/var/lib/tiphys for root",
    )(function)


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All options of a cluster."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return data_dir_option(function)


def settings_of(data_dir: Path, given: dict[str, Any]) -> ClusterSettings:
    """The settings that the data directory remembers, changed by what is given; raises Failure when they cannot be used."""
    try:
        settings = _merged(data_dir, given)
        settings.check()
    except SettingsError as error:
        raise Failure(str(error)) from error
    return settings


def _merged(data_dir: Path, given: dict[str, Any]) -> ClusterSettings:
    given = {name: value for name, value in given.items() if value is not None}
    if "token_auth_file" in given:
        given["token_auth_file"] = str(Path(given["token_auth_file"]).absolute())
    data_dir = data_dir.absolute()
    known = load(data_dir)
    if known is None:
        return ClusterSettings(data_dir=str(data_dir), **given)
    return msgspec.structs.replace(known, data_dir=str(data_dir), **given)
