"""Reading of apt sources, releases and indexes by the tool that fetches containerd of other releases."""

from __future__ import annotations

import pytest

from tools.runtimes import Unavailable, find_package, index_sum, mirrors

DEB822 = """Types: deb
# http://snapshot.example/debian/2026
URIs: http://mirror.example/debian
Suites: bookworm

Types: deb
URIs: http://mirror.example/debian-security
"""
SUM = "0" * 63 + "1"
RELEASE = f"Suite: sid\nMD5Sum:\n 0 1 main/binary-amd64/Packages.xz\nSHA256:\n {SUM}  9 main/binary-amd64/Packages.xz\n"
INDEX = "Package: containerd-x\nVersion: 1\n\nPackage: containerd\nVersion: 2\nFilename: pool/c.deb\nDescription: a\n\nPackage: z\n"


def test_finds_the_mirrors_of_debian_in_both_formats() -> None:
    assert mirrors(DEB822) == ["http://mirror.example/debian"]
    assert mirrors("deb [signed-by=/k.gpg] https://a.example/debian/ sid main\n#deb http://b.example/debian sid main\n") == [
        "https://a.example/debian"
    ]
    assert mirrors("deb https://packages.example/apt stable main\ndeb cdrom:[x]/debian sid main\n") == []


def test_finds_a_package_by_its_whole_name() -> None:
    assert find_package(INDEX, "containerd") == {"Package": "containerd", "Version": "2", "Filename": "pool/c.deb", "Description": "a"}
    with pytest.raises(Unavailable, match="no package runc"):
        find_package(INDEX, "runc")


def test_takes_the_sum_of_an_index_from_the_release() -> None:
    assert index_sum(RELEASE, "main/binary-amd64/Packages.xz") == SUM
    with pytest.raises(Unavailable, match="does not list"):
        index_sum(RELEASE, "main/binary-arm64/Packages.xz")
