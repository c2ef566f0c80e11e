"""Image building, without containerd."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tiphys.images import elf, oci, recipe
from tiphys.images.packages import ImageError, merged
from tiphys.images.recipe import Recipe, fingerprint, full_name, lineage, recipes, short_name
from tiphys.images.rootfs import Rootfs


def test_every_recipe_is_well_formed() -> None:
    assert {"pause", "busybox", "nginx", "web", "git", "site", "scraper", "log-shipper"} <= set(recipes())
    for name, made in recipes().items():
        assert lineage(name)[-1] == name
        assert set(made.config) <= {"Entrypoint", "Cmd", "Env", "WorkingDir", "User", "ExposedPorts", "StopSignal"}
        for path in (*made.paths, *made.files, *made.links, *made.directories):
            assert path.startswith("/")


def test_images_are_named_short_or_in_full() -> None:
    assert short_name("nginx") == short_name("tiphys.local/nginx:1") == "nginx"
    assert full_name("log-shipper") == "tiphys.local/log-shipper:1"
    for wrong in ("absent", "tiphys.local/nginx:2", "docker.io/nginx:1"):
        with pytest.raises(KeyError, match="no recipe"):
            short_name(wrong)


def test_a_fingerprint_follows_the_recipe_and_its_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: fingerprint(name, "amd64") for name in recipes()}
    assert len(set(before.values())) == len(before)
    assert fingerprint("nginx", "arm64") != before["nginx"]
    changed = {**recipes(), "busybox": Recipe(packages=["busybox-static"], tag="1")}
    monkeypatch.setattr(recipe, "recipes", lambda: changed)
    assert fingerprint("nginx", "amd64") != before["nginx"]
    assert fingerprint("pause", "amd64") == before["pause"]


def test_a_program_names_its_loader_and_libraries() -> None:
    found = elf.wants(Path(sys.executable).resolve().read_bytes())
    assert found is not None
    assert "ld-linux" in found.interpreter or "ld-musl" in found.interpreter
    assert any(name.startswith("libc.") for name in found.libraries)


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(100)])
def test_other_files_want_nothing(data: bytes) -> None:
    assert elf.wants(data) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [("/bin/sh", "/usr/bin/sh"), ("/lib/x/y.so", "/usr/lib/x/y.so"), ("/binary", "/binary"), ("/usr/bin/a", "/usr/bin/a")],
)
def test_the_system_directories_are_below_usr(given: str, expected: str) -> None:
    assert merged(given) == expected


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {info.name: info for info in tar.getmembers()}


def test_a_layer_has_users_a_sticky_tmp_and_all_parents(tmp_path: Path) -> None:
    tree = Rootfs()
    tree.skeleton()
    tree.file("/bin/tool", b"#!/bin/sh\n", 0o755)
    tree.file("/srv/a/b/c", b"x")
    tree.write(tmp_path / "layer.tar")
    found = members(tmp_path / "layer.tar")
    assert found["tmp"].mode == 0o1777
    assert (found["bin"].issym(), found["bin"].linkname) == (True, "usr/bin")
    assert found["usr/bin/tool"].mode == 0o755
    assert all(found[parent].isdir() for parent in ("srv", "srv/a", "srv/a/b"))
    assert list(found).index("srv/a") < list(found).index("srv/a/b/c")
    with tarfile.open(tmp_path / "layer.tar") as tar:
        passwd = tar.extractfile("etc/passwd")
        assert passwd is not None
        users = passwd.read().decode()
    assert "root:x:0:0:" in users
    assert "nobody:x:65534:65534:" in users


def test_the_same_files_give_the_same_digest_in_any_order(tmp_path: Path) -> None:
    digests = set()
    for names in (["/a", "/b"], ["/b", "/a"]):
        tree = Rootfs()
        for name in names:
            tree.file(name, name.encode())
        tree.write(tmp_path / "layer.tar")
        digests.add(oci.layer(tmp_path / "layer.tar").digest)
    assert len(digests) == 1


def test_a_link_comes_with_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "libx.so.1.2").write_bytes(b"x")
    (tmp_path / "libx.so.1").symlink_to("libx.so.1.2")
    tree = Rootfs()
    tree.copy("/lib/libx.so.1", tmp_path / "libx.so.1")
    assert tree.nodes["/usr/lib/libx.so.1"].target == "libx.so.1.2"
    assert tree.nodes["/usr/lib/libx.so.1.2"].data == b"x"


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    tree = Rootfs()
    tree.file("/a", b"")
    tree.file("/a/b", b"")
    with pytest.raises(ImageError, match="/a is a file"):
        tree.write(tmp_path / "layer.tar")


def test_the_archive_is_an_oci_layout_whose_digests_fit(tmp_path: Path) -> None:
    tree = Rootfs()
    tree.file("/a", b"content")
    tree.write(tmp_path / "layer.tar")
    made = oci.layer(tmp_path / "layer.tar")
    path = tmp_path / "image.tar"
    image_id = oci.write_archive(path, name="tiphys.local/x:1", layers=[made], config={"Cmd": ["/a"]}, labels={"k": "v"})
    with tarfile.open(path) as tar:

        def blob(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        def described(descriptor: dict[str, Any]) -> bytes:
            data = blob("blobs/sha256/" + descriptor["digest"].removeprefix("sha256:"))
            assert (len(data), "sha256:" + hashlib.sha256(data).hexdigest()) == (descriptor["size"], descriptor["digest"])
            return data

        (listed,) = json.loads(blob("index.json"))["manifests"]
        assert listed["annotations"]["io.containerd.image.name"] == "tiphys.local/x:1"
        manifest = json.loads(described(listed))
        config = json.loads(described(manifest["config"]))
        assert manifest["config"]["digest"] == image_id
        assert (config["config"]["Cmd"], config["config"]["Labels"]) == (["/a"], {"k": "v"})
        assert config["rootfs"]["diff_ids"] == [made.digest]
        described(manifest["layers"][0])
