"""Image recipes as data (`recipes.yaml`), checked and with a fingerprint that says when an image has to be built anew."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tiphys.images.python import edition

REGISTRY = "tiphys.local"
_FORMAT = 1
"""Raise when the builder itself makes something else out of the same recipe."""


class File(msgspec.Struct, forbid_unknown_fields=True):
    """A text file of an image; `mode` is written as in chmod (755)."""

    text: str
    mode: int = 644


class Recipe(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Recipe of one image; the fields are explained at the top of recipes.yaml."""

    tag: str = "1"
    base: str = ""
    packages: list[str] = []
    python: list[str] = []
    paths: list[str] = []
    applets: bool = False
    links: dict[str, str] = {}
    directories: dict[str, int] = {}
    concatenate: dict[str, str] = {}
    files: dict[str, File | str] = {}
    config: dict[str, Any] = {}


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by its short name."""
    text = Path(__file__).with_name("recipes.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, Recipe])


def short_name(image: str) -> str:
    """The recipe of an image name: "nginx" for both "nginx" and "tiphys.local/nginx:1". Raises KeyError when there is none."""
    name = image.removeprefix(f"{REGISTRY}/").split(":", 1)[0]
    if name not in recipes() or image not in (name, full_name(name)):
        raise KeyError(f"no recipe for image {image!r}; the recipes are: {', '.join(full_name(known) for known in recipes())}")
    return name


def full_name(name: str) -> str:
    """The name by which pods ask for the image."""
    return f"{REGISTRY}/{name}:{recipes()[name].tag}"


def lineage(name: str) -> list[str]:
    """The image and its bases, lowest first."""
    base = recipes()[name].base
    return [*(lineage(base) if base else []), name]


def fingerprint(name: str, architecture: str) -> str:
    """Return what changes whenever the image has to be built anew: with its recipe, its bases', the builder, the machine's architecture
    or the Python packages that it takes from here. Raises ImageError when those are not installed."""
    recipe_lines = [recipes()[part] for part in lineage(name)]
    parts: list[Any] = [msgspec.to_builtins(line) for line in recipe_lines]
    for part in parts:
        # The packages count by their editions; images without any keep the fingerprints that they had.
        del part["python"]
    if packages := [package for line in recipe_lines for package in line.python]:
        parts.append(edition(packages))
    return hashlib.sha256(msgspec.json.encode([_FORMAT, architecture, parts], order="deterministic")).hexdigest()[:20]
