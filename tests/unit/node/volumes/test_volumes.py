"""Files of volumes, and the atomic change of them."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.container.fields import Identity
from tiphys.node.volumes import atomic
from tiphys.node.volumes.host_path import host_path
from tiphys.node.volumes.manager import memory_size
from tiphys.node.volumes.payload import Contents, File, Payload, TokenKey, VolumeError, payload, sources_of
from tiphys.node.volumes.subpath import expose

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTENTS = Contents(
    config_maps={"c": core.ConfigMap(data={"a": "1", "b": "2"}, binaryData={"z": b"\x00"})},
    secrets={"s": core.Secret(data={"k": b"v"})},
    tokens={TokenKey("", 3600): "jwt", TokenKey("vault", 600): "other"},
    identity=Identity(allocatable={"cpu": "4"}),
)


def files(source: dict[str, Any], **spec: Any) -> Payload:
    volume = msgspec.convert({"name": "v", **source}, core.Volume)
    return payload(pod({"name": "a"}, **spec), volume, CONTENTS)


def test_config_map() -> None:
    assert files({"configMap": {"name": "c", "defaultMode": 0o400}}) == {
        "a": File(b"1", 0o400),
        "b": File(b"2", 0o400),
        "z": File(b"\x00", 0o400),
    }
    assert files({"configMap": {"name": "c", "items": [{"key": "a", "path": "x/y", "mode": 0o600}]}}) == {"x/y": File(b"1", 0o600)}
    assert files({"configMap": {"name": "none", "optional": True}}) == {}
    with pytest.raises(VolumeError, match='configmap "none" not found'):
        files({"configMap": {"name": "none"}})
    with pytest.raises(VolumeError, match="non-existent key"):
        files({"configMap": {"name": "c", "items": [{"key": "gone", "path": "x"}]}})


@pytest.mark.parametrize(
    ("source", "limits", "size"),
    [
        ({}, [None], 64 << 20),
        ({}, ["32Mi"], 32 << 20),
        ({}, ["32Mi", "16Mi"], 48 << 20),
        ({}, ["32Mi", None], 64 << 20),
        ({}, ["1Gi"], 64 << 20),
        ({"sizeLimit": "1Mi"}, ["32Mi"], 1 << 20),
        ({"sizeLimit": "48Mi"}, ["32Mi"], 32 << 20),
        ({"sizeLimit": "0"}, ["32Mi"], 32 << 20),
    ],
)
def test_an_empty_dir_in_memory_never_outgrows_the_pod_or_the_node(source: dict[str, Any], limits: list[str | None], size: int) -> None:
    sizes = [{"name": f"c{index}", "resources": {"limits": {"memory": one} if one else {}}} for index, one in enumerate(limits)]
    volume = msgspec.convert({"medium": "Memory", **source}, core.EmptyDirVolumeSource)
    assert memory_size(pod(*sizes), volume, Identity(allocatable={"memory": "64Mi"})) == size


def test_downward_api() -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "a", "resource": "limits.cpu"}},
    ]
    made = files({"downwardAPI": {"items": items}}, metadata={"labels": {"b": 'x"y', "a": "1"}})
    assert made["labels"].data == b'a="1"\nb="x\\"y"'
    assert made["cpu"].data == b"4"


def test_projected() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token"}},
        {"serviceAccountToken": {"path": "vault/token", "audience": "vault", "expirationSeconds": 600}},
        {"configMap": {"name": "c", "items": [{"key": "a", "path": "ca"}]}},
        {"secret": {"name": "s"}},
    ]
    made = files({"projected": {"sources": sources}})
    assert {path: file.data for path, file in made.items()} == {"token": b"jwt", "vault/token": b"other", "ca": b"1", "k": b"v"}
    assert made["token"].mode == 0o644
    assert files({"projected": {"sources": sources}}, securityContext={"fsGroup": 5})["token"].mode == 0o600
    volume = msgspec.convert({"name": "v", "projected": {"sources": sources}}, core.Volume)
    assert sources_of(pod(volumes=[msgspec.to_builtins(volume)])) == ({"c"}, {"s"}, {TokenKey("", 3600), TokenKey("vault", 600)})


@pytest.mark.parametrize(
    ("context", "containers", "mode", "user"),
    [
        (None, [None], 0o644, None),
        ({"runAsUser": 7}, [None], 0o600, 7),
        ({"runAsUser": 7}, [None, 8], 0o644, None),
        (None, [8, 8], 0o600, 8),
        (None, [8, None], 0o644, None),
        ({"runAsUser": 7}, [8], 0o600, 8),
        ({"runAsUser": 7, "fsGroup": 5}, [8, 9], 0o600, None),
        ({"runAsUser": 0}, [None], 0o600, 0),
    ],
)
def test_a_token_belongs_to_the_user_of_all_containers(
    context: dict[str, int] | None, containers: list[int | None], mode: int, user: int | None
) -> None:
    volume = msgspec.convert({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}, core.Volume)
    listed = [{"name": f"c{place}", "securityContext": {"runAsUser": own}} for place, own in enumerate(containers)]
    for inits in ([], listed[:1]):
        it = pod(*(listed[1:] or listed) if inits else listed, initContainers=inits, securityContext=context)
        assert payload(it, volume, CONTENTS) == {"token": File(b"jwt", mode, user)}


def test_a_default_mode_of_zero_is_a_mode() -> None:
    for source in ({"configMap": {"name": "c"}}, {"secret": {"secretName": "s"}}, {"projected": {"sources": [{"secret": {"name": "s"}}]}}):
        ((kind, body),) = source.items()
        assert {file.mode for file in files({kind: {**body, "defaultMode": 0}}).values()} == {0}


def test_limits_of_the_pod_hold_where_a_container_has_none() -> None:
    refs = [{"path": name, "resourceFieldRef": {"containerName": "a", "resource": f"limits.{name}"}} for name in ("cpu", "memory")]
    volume = {"downwardAPI": {"items": refs}}
    whole = {"limits": {"cpu": "2", "memory": "64Mi"}}
    assert [file.data for file in files(volume, resources=whole).values()] == [b"2", str(64 << 20).encode()]
    own = msgspec.convert({"name": "v", **volume}, core.Volume)
    it = pod({"name": "a", "resources": {"limits": {"cpu": "1", "memory": "0"}}}, resources=whole)
    assert [file.data for file in payload(it, own, CONTENTS).values()] == [b"1", str(64 << 20).encode()]


@pytest.mark.parametrize("path", ["/abs", "../up", "a/../../b", "..data"])
def test_paths_stay_inside(path: str) -> None:
    with pytest.raises(VolumeError, match="invalid path"):
        files({"configMap": {"name": "c", "items": [{"key": "a", "path": path}]}})


def test_atomic_write_replaces_everything_at_once(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, {"a": File(b"1"), "d/b": File(b"2", 0o400)}, NOW)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "d" / "b").read_bytes() == b"2"
    assert stat.S_IMODE((tmp_path / "d" / "b").stat().st_mode) == 0o400
    assert os.readlink(tmp_path / "a") == "..data/a"
    before = os.readlink(tmp_path / "..data")
    assert not atomic.write(tmp_path, {"a": File(b"1"), "d/b": File(b"2", 0o400)}, NOW)
    assert os.readlink(tmp_path / "..data") == before

    assert atomic.write(tmp_path, {"a": File(b"3"), "c": File(b"4")}, NOW)
    assert (tmp_path / "a").read_bytes() == b"3"
    assert sorted(entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("..")) == ["a", "c"]
    assert not (tmp_path / before).exists()
    assert atomic.write(tmp_path, {}, NOW)
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("..")] == []


def test_a_changed_mode_counts_as_a_change(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)}, NOW)
    assert atomic.write(tmp_path, {"a": File(b"1", 0o600)}, NOW)


def test_files_belong_to_their_user_and_to_the_group_of_the_pod(tmp_path: Path) -> None:
    # Somebody else's only where the test may give files away.
    user, group = (4321, 5432) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    token = {"d/token": File(b"1", 0o600, user)}
    assert atomic.write(tmp_path, token, NOW, group=group)
    status = (tmp_path / "d" / "token").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (user, group, 0o640)
    for directory in (tmp_path / "..data", tmp_path / "d"):
        assert (directory.stat().st_gid, stat.S_IMODE(directory.stat().st_mode)) == (group, 0o2755)
    assert not atomic.write(tmp_path, token, NOW, group=group)
    assert atomic.write(tmp_path, {"d/token": File(b"1", 0o600)}, NOW, group=group) == (user != os.geteuid())


@pytest.mark.parametrize(
    ("link", "wanted"), [("..", "up"), ("../../..", "up"), ("/", "up"), ("/etc", "up"), ("inside/..", "up/../.."), ("file", "up/below")]
)
def test_sub_paths_do_not_lead_out_of_a_volume(tmp_path: Path, link: str, wanted: str) -> None:
    volume = tmp_path / "volume"
    (volume / "inside").mkdir(parents=True)
    (volume / "file").touch()
    (volume / "up").symlink_to(link)
    with pytest.raises(VolumeError):
        expose(volume, wanted, tmp_path / "target")
    with pytest.raises(VolumeError):
        expose(volume, "up/fresh" if link != "inside/.." else "file/fresh", tmp_path / "target")
    with pytest.raises(VolumeError):
        expose(volume / "file", "fresh", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert not (tmp_path / "fresh").exists()


def test_host_path_types(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    assert host_path(str(file), "File") == file
    assert host_path(str(tmp_path / "new"), "DirectoryOrCreate").is_dir()
    assert host_path(str(tmp_path / "newfile"), "FileOrCreate").is_file()
    assert host_path("/dev/null", "CharDevice") == Path("/dev/null")
    for path, kind, word in ((file, "Directory", "directory"), (tmp_path, "File", "file"), (tmp_path / "no", "Socket", "socket file")):
        with pytest.raises(VolumeError, match=f"is not a {word}"):
            host_path(str(path), kind)
