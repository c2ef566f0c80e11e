"""Unpacks containerd of other Debian releases into build/runtimes, for tests on several versions.

python tools/runtimes.py

The packages come from the Debian mirror in the machine's apt sources and are verified with Debian's keys. Nothing is installed.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNTIMES = ROOT / "build" / "runtimes"
SOURCES = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = ("trixie", "sid")
"""Releases of Debian with containerd 1.7 and 2."""
SECONDS = 60
"""Time that the mirror may take for one answer."""


class Unavailable(Exception):
    """The packages cannot be fetched; the message says why."""


def mirrors(text: str) -> list[str]:
    """Return the Debian mirrors that the text of an apt source names, in either format, without those of other archives."""
    uris = re.findall(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(\S+)", text, re.MULTILINE)
    return [uri.rstrip("/") for uri in uris if uri.rstrip("/").endswith("/debian") and uri.startswith(("http://", "https://"))]


def find_package(index: str, name: str) -> dict[str, str]:
    """Return the fields of a package in an index of packages. Raises Unavailable without it."""
    for paragraph in index.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Package") == name:
            return fields
    raise Unavailable(f"the mirror has no package {name}")


def index_sum(release: str, path: str) -> str:
    """Return the SHA-256 of an index in the text of a Release file. Raises Unavailable without it."""
    _, _, sums = release.partition("\nSHA256:\n")
    found = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(path)}$", sums, re.MULTILINE)
    if found is None:
        raise Unavailable(f"the release does not list {path}")
    return found.group(1)


def fetch(suite: str, target: Path = RUNTIMES) -> Path:
    """Return the directory of the programs of a release's containerd, unpacked before or now. Raises Unavailable."""
    programs = target / suite / "usr" / "bin"
    if (programs / "containerd").exists():
        return programs
    sources = [
        *SOURCES.glob("sources.list"),
        *sorted(SOURCES.glob("sources.list.d/*.list")),
        *sorted(SOURCES.glob("sources.list.d/*.sources")),
    ]
    known = [mirror for source in sources for mirror in mirrors(source.read_text(encoding="utf-8", errors="replace"))]
    if not known or not KEYRING.exists() or shutil.which("gpgv") is None or shutil.which("dpkg") is None:
        raise Unavailable("this is no Debian with a mirror of its own")
    with tempfile.TemporaryDirectory() as scratch:
        _unpack(known[0], suite, Path(scratch))
        target.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(scratch) / "tree", target / suite)
    return programs


def _unpack(mirror: str, suite: str, scratch: Path) -> None:
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    signed = scratch / "InRelease"
    signed.write_bytes(_get(f"{mirror}/dists/{suite}/InRelease"))
    checked = subprocess.run(
        ["gpgv", "--quiet", "--keyring", KEYRING, "--output", scratch / "Release", signed], capture_output=True, check=False
    )
    if checked.returncode != 0:
        raise Unavailable(f"the signature of {suite} is not by a key of this machine")
    path = f"main/binary-{architecture}/Packages.xz"
    index = _verified(f"{mirror}/dists/{suite}/{path}", index_sum((scratch / "Release").read_text(), path))
    package = find_package(lzma.decompress(index).decode(), "containerd")
    archive = scratch / "containerd.deb"
    archive.write_bytes(_verified(f"{mirror}/{package['Filename']}", package["SHA256"]))
    subprocess.run(["dpkg", "--extract", archive, scratch / "tree"], check=True)


def _verified(url: str, expected: str) -> bytes:
    data = _get(url)
    if hashlib.sha256(data).hexdigest() != expected:
        raise Unavailable(f"{url} is not what its index says")
    return data


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise Unavailable(f"{url}: {error}") from error


if __name__ == "__main__":
    for suite in SUITES:
        try:
            print(fetch(suite))
        except Unavailable as error:
            sys.exit(str(error))
