"""Options of the verbs, derived from the fields of settings that they set, and their conversion to settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import msgspec

from tiphys.cli.errors import Failure
from tiphys.daemon.saved import OPTIONS, Overrides, checked_settings, load
from tiphys.daemon.settings import ClusterSettings, SettingsError, default_data_dir
from tiphys.settings.duration import parse_duration
from tiphys.settings.option import Bound, bound
from tiphys.settings.parse import parsed

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def seconds(text: str) -> int:
    """Parse a duration such as 3600, 90m, 24h or 1h30m into seconds; raises click.BadParameter."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


class FieldType(click.ParamType):  # type: ignore[type-arg]
    """Values of the field that an option sets."""

    def __init__(self, one: Bound) -> None:
        self._bound = one
        self.name = one.field.type.__name__ if isinstance(one.field.type, type) else "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the text of an option; fails as click's own types do."""
        if not isinstance(value, str):
            return value
        try:
            return parsed(self._bound, value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


_ALONE = ("client", "serving", "leader_election")
"""Parts of the controllers and the scheduler that count only where these run alone."""


def _select(*parts: str, also: Iterable[str] = (), alone: bool = False) -> tuple[Bound, ...]:
    """Return the options of some parts of the tree ("" is the root without its parts), and others by their flags."""

    def belongs(one: Bound) -> bool:
        part, inner = one.path[0] if len(one.path) > 1 else "", one.path[1] if len(one.path) > 2 else ""
        return part in parts and (alone or inner not in _ALONE)

    more = [OPTIONS[flag.removeprefix("--").replace("-", "_")].path for flag in also]
    return tuple(one for one in bound(ClusterSettings) if belongs(one) or one.path in more)


VERBS = {
    "up": _select("", "storage", "apiserver", "network", "controllers", "kubelet", "local_storage", "hollow"),
    "server": _select("", "storage", "apiserver", "network", "controllers", also=("--kubelet-port", "--local-storage")),
    "apiserver": _select("", "storage", "apiserver", "network", also=("--kubelet-port", "--local-storage")),
    "node": _select("", "network", "kubelet", "local_storage", "hollow", also=("--bind", "--secure-port")),
    "controller-manager": _select("controllers", also=("--cluster-cidr", "--log-level"), alone=True),
    "scheduler": _select("scheduler", also=("--log-level",), alone=True),
    "csi-sidecar": _select("sidecar", also=("--log-level",), alone=True),
}
"""Options of each verb: those of its parts of the tree."""


def option_of(one: Bound) -> Decorator:
    """Return the decorator that adds an option. It gives None for an option that was not given, so that other sources count."""
    option, more = one.option, {}
    if one.field.type is bool:
        # As upstream's: --flag, --flag=true or --flag=false.
        more = {"is_flag": False, "flag_value": "true"}
    path = ("DIRECTORY" if option.is_directory else "FILE") if one.field.type is Path else None
    metavar = option.metavar or ("DURATION" if option.is_duration else path)
    if option.choices:
        metavar = f"[{'|'.join(option.choices)}]"
    return click.option(option.flag, option.name, type=FieldType(one), help=one.help, metavar=metavar, **more)  # type: ignore[arg-type]


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config`."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="File with KubeletConfiguration and KubeSchedulerConfiguration documents, which options override (default: none).",
    )(function)


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


def field_options(options: Iterable[Bound]) -> Decorator:
    """Return the decorator that adds options of fields."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for one in reversed(tuple(options)):
            function = option_of(one)(function)
        return function

    return add


def settings_options(options: Iterable[Bound]) -> Decorator:
    """Return the decorator that adds `--data-dir` and the options of a verb."""
    return lambda function: data_dir_option(field_options(options)(function))


def overrides_of(data_dir: Path, values: dict[str, Any]) -> Overrides:
    """Return what is saved in the data directory, with the given options and `config` over it. Raises Failure."""
    values = dict(values)
    config = values.pop("config", None)
    data_dir = data_dir.absolute()
    try:
        known = load(data_dir) or Overrides(data_dir=str(data_dir))
        if config is not None:
            from tiphys.daemon.config import read_config

            known = msgspec.structs.replace(known, config=read_config(config))
    except SettingsError as error:
        raise Failure(str(error)) from error
    return known.with_options(values)


def settings_alone(verb: str, values: dict[str, Any], config: Path | None = None) -> ClusterSettings:
    """Return the settings of a component in a process of its own, which knows no data directory. Raises Failure."""
    chosen = {one.path: values[one.option.name] for one in VERBS[verb] if values.get(one.option.name) is not None}
    try:
        layer: dict[str, Any] = {}
        if config is not None:
            from tiphys.daemon.config import SCHEDULER, read_config

            layer = read_config(config, SCHEDULER)
        return checked_settings(layer, chosen)
    except SettingsError as error:
        raise Failure(str(error)) from error


def settings_from(cluster: Overrides) -> ClusterSettings:
    """Return the settings of a cluster; raises Failure when they are unusable."""
    try:
        return cluster.settings()
    except SettingsError as error:
        raise Failure(str(error)) from error


def settings_of(data_dir: Path, values: dict[str, Any]) -> ClusterSettings:
    """Return the settings saved in the data directory, overridden by the given options; raises Failure when they are unusable."""
    return settings_from(overrides_of(data_dir, values))
