"""`settings.json` in the data directory: the settings that `tiphys up` was given, for the other commands and the next start.

What options set and what a configuration file set is kept apart. Options add up over the starts; a file replaces what the last one set.
Options count more than files, files more than defaults, and a default that nobody changed is not saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.settings.layers import Layer, convert, merged, nest, options_of, to_builtins
from tiphys.settings.parse import parsed

FILE = "settings.json"
OPTIONS = options_of(ClusterSettings)
"""Options of a cluster, by name. Components that run alone have some in common, which are those of the controllers here."""
_RENAMED = {
    "pod_range": "cluster_cidr",
    "service_range": "service_cluster_ip_range",
    "node_ports": "service_node_port_range",
    "domain": "cluster_domain",
    "shutdown_delay": "shutdown_delay_duration",
}
"""Names in the files of version 0.1.0, which were flat, that are not those of the options."""


class Overrides(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings of a cluster that differ from the defaults: values of options by name, and the tree that a configuration file sets."""

    data_dir: str
    options: dict[str, Any] = {}
    config: dict[str, Any] = {}

    def with_options(self, options: Mapping[str, Any]) -> Overrides:
        """Return this with more options, by name; None is an option that was not given."""
        more = {name: to_builtins(value) for name, value in options.items() if value is not None}
        return msgspec.structs.replace(self, options={**self.options, **more})

    def settings(self) -> ClusterSettings:
        """Return the settings; raises SettingsError when they are unusable."""
        return checked_settings(self.config, {OPTIONS[name].path: value for name, value in self.options.items()}, data_dir=self.data_dir)

    def save(self) -> None:
        """Write them into the data directory. Raises OSError."""
        directory = Path(self.data_dir)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = directory / f".{FILE}"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        temporary.replace(directory / FILE)


def checked_settings(config: Layer, options: Mapping[tuple[str, ...], Any], *, data_dir: str = "") -> ClusterSettings:
    """Return the settings that a configuration file sets, and over it options, by their paths. Raises SettingsError."""
    tree = merged(ClusterSettings, config, nest(options))
    try:
        settings = convert(ClusterSettings, {**tree, "data_dir": data_dir})
    except msgspec.ValidationError as error:
        raise SettingsError(f"the settings are unusable: {error}") from error
    settings.check()
    return settings


def load(data_dir: Path) -> Overrides | None:
    """Return what `tiphys up` left in a data directory, or None; raises SettingsError when it is damaged."""
    path = data_dir / FILE
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if document.keys() - {"data_dir", "options", "config"}:
            document = _from_flat(document)
        overrides = msgspec.convert(document, Overrides)
        unknown = overrides.options.keys() - OPTIONS.keys()
        if unknown:
            raise ValueError(f"unknown options {', '.join(sorted(unknown))}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{path} cannot be read ({exc}): repair it, or remove it and run tiphys up again") from exc
    return msgspec.structs.replace(overrides, data_dir=str(data_dir))


def _from_flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in today's form for one of version 0.1.0. Raises ValueError."""
    options: dict[str, Any] = {}
    for name, value in document.items():
        if name == "data_dir" or (name == "healthz_port" and value == -1):
            continue
        name = _RENAMED.get(name, name)
        one = OPTIONS.get(name)
        if one is None:
            raise ValueError(f"unknown setting {name}")
        is_text = isinstance(value, str) and one.field.type is not Path
        options[name] = to_builtins(parsed(one, value)) if is_text and value else value
    return {"data_dir": document.get("data_dir", ""), "options": options}


def cluster_settings(data_dir: Path | str, **options: Any) -> ClusterSettings:
    """Return settings of a cluster with values of some options, by name. Raises SettingsError."""
    return Overrides(data_dir=str(data_dir)).with_options(options).settings()
