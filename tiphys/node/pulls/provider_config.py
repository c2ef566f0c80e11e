"""CredentialProviderConfig: the programs that supply logins for registries ("Configure a kubelet image credential provider")."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tiphys.api.machinery import durations
from tiphys.api.machinery.yamldoc import YAMLError, load

VERSIONS = tuple(f"credentialprovider.kubelet.k8s.io/{version}" for version in ("v1", "v1alpha1", "v1beta1"))
_CONFIG_VERSIONS = tuple(f"kubelet.config.k8s.io/{version}" for version in ("v1", "v1alpha1", "v1beta1"))
_SUFFIXES = (".json", ".yaml", ".yml")
_NAME = re.compile(r"(?!\.{1,2}$)[^/ ]+")


class ProviderError(ValueError):
    """Configuration that cannot be used, with all that is wrong with it."""


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Environment variable of a program."""

    name: str
    value: str = ""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One program and the images that it is asked about."""

    name: str = ""
    matchImages: tuple[str, ...] = ()
    defaultCacheDuration: str = ""
    apiVersion: str = ""
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()

    @property
    def cache_seconds(self) -> float:
        return durations.seconds(self.defaultCacheDuration)


class _Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    apiVersion: str
    kind: str
    providers: tuple[Provider, ...] = ()


def read_providers(path: Path, directory: Path) -> tuple[Provider, ...]:
    """Return the providers that a file, or each file of a directory, configures. Raises ProviderError and OSError. Blocking."""
    files = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise ProviderError(f"{path}: there is no file that ends with {', '.join(_SUFFIXES)}")
    providers: list[Provider] = []
    faults: list[str] = []
    for file in files:
        try:
            providers += _read(file)
        except (YAMLError, msgspec.ValidationError, ProviderError) as error:
            faults.append(f"{file}: {error}")
    faults += [f"{path}: {fault}" for fault in _faults(providers, directory)]
    if faults:
        raise ProviderError("; ".join(faults))
    return tuple(providers)


def _read(file: Path) -> tuple[Provider, ...]:
    config = msgspec.convert(load(file.read_bytes()).document, _Config)
    if config.kind != "CredentialProviderConfig" or config.apiVersion not in _CONFIG_VERSIONS:
        raise ProviderError(f"{config.kind} of {config.apiVersion} is no CredentialProviderConfig of {', '.join(_CONFIG_VERSIONS)}")
    return config.providers


def _faults(providers: list[Provider], directory: Path) -> Iterator[str]:
    if not providers:
        yield "providers: at least one is required"
    names: set[str] = set()
    for number, one in enumerate(providers):
        path = f"providers[{number}]"
        if not _NAME.fullmatch(one.name):
            yield f'{path}.name: "{one.name}" must be the name of a program, without slashes and spaces'
        elif not os.access(directory / one.name, os.X_OK):
            yield f'{path}.name: there is no program "{one.name}" in {directory}'
        if one.name in names:
            yield f'{path}.name: "{one.name}" is there already'
        names.add(one.name)
        if one.apiVersion not in VERSIONS:
            yield f'{path}.apiVersion: "{one.apiVersion}" is not one of {", ".join(VERSIONS)}'
        if not one.matchImages:
            yield f"{path}.matchImages: at least one is required"
        try:
            seconds = one.cache_seconds
        except ValueError:
            yield f'{path}.defaultCacheDuration: "{one.defaultCacheDuration}" is not a duration such as 10m'
        else:
            if seconds < 0:
                yield f"{path}.defaultCacheDuration: it must not be negative"
