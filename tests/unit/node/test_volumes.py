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
from tiphys.node.fields import Identity
from tiphys.node.volumes import atomic
from tiphys.node.volumes.host_path import host_path
from tiphys.node.volumes.payload import Contents, File, Payload, TokenKey, VolumeError, payload, wanted

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
    assert wanted(pod(volumes=[msgspec.to_builtins(volume)])) == ({"c"}, {"s"}, {TokenKey("", 3600), TokenKey("vault", 600)})


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
