"""The image of Tiphys runs: its own programs, its libraries, and those that drivers of volumes call."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.runtime.machine import CACHE
from tiphys.images.build import build


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the image, layer upon layer."""
    directory = tmp_path_factory.mktemp("image")
    archive = build("tiphys", CACHE)
    layout, root = directory / "layout", directory / "root"
    for folder in (layout, root):
        folder.mkdir()
    subprocess.run(["tar", "-xf", archive.path, "-C", layout], check=True)

    def blob(descriptor: dict[str, str]) -> Path:
        return layout / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")

    (listed,) = json.loads((layout / "index.json").read_text())["manifests"]
    for part in json.loads(blob(listed).read_text())["layers"]:
        subprocess.run(["tar", "-xf", blob(part), "-C", root], check=True)
    return root


def run(root: Path, *command: str) -> str:
    done = subprocess.run(["chroot", root, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_it_runs_tiphys(root: Path) -> None:
    assert "Usage: tiphys" in run(root, "tiphys", "--help")
    libraries = "aiohttp, cryptography, dns, google.protobuf, grpc, httptools, msgspec, numpy, pyroute2, re2, sqlite3, ssl, uvloop, yaml"
    assert run(root, "python3", "-c", f"import tiphys, {libraries}; print(tiphys.__file__)").strip().startswith("/usr/lib/python3/")


def test_modules_are_compiled(root: Path) -> None:
    script = "import sys, tiphys.csi.driver as module; print(module.__cached__)"
    assert (root / run(root, "python3", "-c", script).strip().lstrip("/")).exists()


@pytest.mark.parametrize(
    ("program", "arguments", "name"),
    [
        ("cp", ["--version"], "coreutils"),
        ("sync", ["--version"], "coreutils"),
        ("mount", ["-V"], "util-linux"),
        ("umount", ["-V"], "util-linux"),
        ("losetup", ["-V"], "util-linux"),
        ("blkid", ["-V"], "util-linux"),
        ("mkfs.xfs", ["-V"], "mkfs.xfs"),
        ("xfs_growfs", ["-V"], "xfs_growfs"),
    ],
)
def test_programs_for_volumes_are_the_full_ones(root: Path, program: str, arguments: list[str], name: str) -> None:
    assert name in run(root, program, *arguments)


def test_it_makes_file_systems(root: Path) -> None:
    with open(root / "disk", "wb") as disk:
        disk.truncate(16 << 20)
    run(root, "mkfs.ext4", "-q", "-F", "/disk")
    assert "TYPE=ext4" in run(root, "blkid", "-p", "-o", "export", "/disk")
