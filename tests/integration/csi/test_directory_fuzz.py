"""Properties of the reference driver under requests at random: an answer or an error of the interface, and nothing outside is touched."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from csi_directory.driver import DirectoryDriver
from csi_directory.rules import ZONE
from csi_directory.store import Node, id_of
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiphys.csi.errors import CsiError
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.testing.csi_suite import mounted
from tiphys.testing.mounts import claimed, remove_abandoned, unmount_below

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

VERBS = {
    method.name: method.input_type for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods
}  # fmt: skip
NAMES = st.sampled_from(["a", "b", "../../outside", "/", "\0", "ü", "x" * 300, "capacity", "node n"])
IDS = st.sampled_from([*(id_of(kind, name) for kind in "vse" for name in "ab"), "", "..", "csi-1", "v-" + "0" * 32, "node n", "v-/../x"])
PLACES = {"staging_target_path": "staging", "target_path": "target", "volume_path": "target"}
PATHS = [
    "",
    "/",
    "relative",
    "HERE/../../etc",
    "HERE/staging",
    "HERE/target",
    "HERE/outside",
    "HERE/outside/file",
    "HERE/\0",
]
SIZES = st.sampled_from([0, 1, 1 << 20, 5 << 20, (5 << 20) + 1, 1 << 40, -1, (1 << 63) - 1])
WORDS = st.sampled_from(["", "disk", "directory", "true", "ext4", "xfs", "ntfs", "noexec", "bind", "ro", "-o", "5", "here", "n", "\n"])
KEYS = st.sampled_from(["backing", "csi.storage.k8s.io/ephemeral", "size", "comment", "readOps", ZONE, "other"])


def value(name: str, kind: Any) -> st.SearchStrategy[Any]:
    """Return values for a field: mostly such that lead on."""
    if name.endswith("path"):
        return st.sampled_from(PATHS)
    if name.endswith("id"):
        return st.one_of(IDS, st.just("n")) if name != "node_id" else st.sampled_from(["n", "n", "", "other"])
    if name == "name":
        return NAMES
    if name.endswith("bytes"):
        return SIZES
    if name == "starting_token":
        return IDS
    by_kind = {
        kind.TYPE_STRING: WORDS,
        kind.TYPE_BOOL: st.booleans(),
        kind.TYPE_INT32: st.integers(-1, 3),
        kind.TYPE_ENUM: st.integers(0, 9),
    }
    return by_kind[kind.type]


def message(descriptor: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return messages as the arguments of their constructors."""
    fields = {}
    for field in descriptor.fields:
        if field.message_type is None:
            one: st.SearchStrategy[Any] = value(field.name, field)
        elif field.message_type.GetOptions().map_entry:
            one = st.dictionaries(KEYS, WORDS, max_size=2)
        else:
            one = message(field.message_type)
        fields[field.name] = st.lists(one, max_size=2) if field.is_repeated and not is_map(field) else one
    # Alternatives exclude one another, so one of them is drawn.
    choices = [group for group in descriptor.oneofs if len(group.fields) > 1]
    drawn = st.fixed_dictionaries({}, optional={name: one for name, one in fields.items() if not in_choice(descriptor, name)})
    for group in choices:
        alternatives = st.one_of(*(st.fixed_dictionaries({field.name: fields[field.name]}) for field in group.fields))
        drawn = st.builds(lambda first, second: {**first, **second}, drawn, alternatives)
    return drawn


def is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def in_choice(descriptor: Any, name: str) -> bool:
    group = descriptor.fields_by_name[name].containing_oneof
    return group is not None and len(group.fields) > 1


def spoiled(fields: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """Return a few of the fields."""
    names = sorted(fields)
    return {names[index % len(names)]: fields[names[index % len(names)]] for index in kept} if names else {}


REQUESTS = st.one_of(
    *(
        st.tuples(st.just(verb), st.builds(spoiled, message(kind), st.lists(st.integers(0, 7), max_size=2)))
        for verb, kind in VERBS.items()
        if kind.fields
    )
)
"""Verbs, and the fields in which a request differs from one that is right."""


def usable(directory: Path, fields: Any) -> Any:
    """Put the paths of this test into a request."""
    if isinstance(fields, dict):
        return {key: usable(directory, one) for key, one in fields.items()}
    if isinstance(fields, list):
        return [usable(directory, one) for one in fields]
    return fields.replace("HERE", str(directory)) if isinstance(fields, str) else fields


def contents(directory: Path) -> Iterator[tuple[str, int, bytes]]:
    """Return what is below a directory."""
    for path in sorted(directory.rglob("*")):
        yield str(path), path.lstat().st_mode, path.read_bytes() if path.is_file() else b""


async def play(driver: DirectoryDriver, requests: list[tuple[str, dict[str, Any]]]) -> None:
    for verb, fields in requests:
        kind = getattr(pb, f"{verb}Request")
        try:
            answer = await getattr(driver, verb)(kind(**fields))
        except CsiError:
            continue
        assert isinstance(answer, Message)
        assert answer.IsInitialized()
        type(answer).FromString(answer.SerializeToString())


def plant(root: Path, outside: Path) -> None:
    """Do what a hostile pod does with its volume."""
    for data in root.glob("volumes/*/data"):
        for name, target in {"link": outside, "file": outside / "file"}.items():
            if not (data / name).is_symlink():
                (data / name).symlink_to(target)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(requests=st.lists(REQUESTS, min_size=4, max_size=25), backing=st.sampled_from(["disk", "directory"]))
def test_answers_whatever_it_is_asked(tmp_path: Path, requests: list[tuple[str, dict[str, Any]]], backing: str) -> None:
    remove_abandoned()
    with claimed(tmp_path):
        here = Path(tempfile.mkdtemp(dir=tmp_path))
        outside = here / "outside"
        for directory in (here / "staging", outside):
            directory.mkdir(parents=True)
        (outside / "file").write_text("precious")
        (here / "link").symlink_to(outside)
        before = list(contents(outside))
        base = right(here, backing)
        start = list(base.items())[:5]
        random = [(verb, {**base.get(verb, {}), **usable(here, fields)}) for verb, fields in requests]
        try:
            driver = DirectoryDriver(here / "root", zone="here", node=Node(id="n", zone="here", max_volumes=2))
            asyncio.run(play(driver, [*start, *random]))
            plant(here / "root", outside)
            asyncio.run(play(driver, random))
            unmount_below(tmp_path)
            assert list(contents(outside)) == before
            assert {path.name for path in here.iterdir()} <= {"link", "outside", "root", "staging", "target"}
        finally:
            unmount_below(tmp_path)


def right(here: Path, backing: str) -> dict[str, dict[str, Any]]:
    """Return a right request for each verb. In this order, the first five bring the volume "a" to a pod."""
    id, snapshot = id_of("v", "a"), id_of("s", "a")
    capability = mounted()
    volume = {"volume_id": id, "volume_capability": capability}
    sizes = {"capacity_range": pb.CapacityRange(required_bytes=5 << 20)}
    staging, target, path = ({name: f"{here}/{end}"} for name, end in PLACES.items())
    return {
        "CreateVolume": {"name": "a", "volume_capabilities": [capability], "parameters": {"backing": backing}, **sizes},
        "CreateSnapshot": {"name": "a", "source_volume_id": id},
        "ControllerPublishVolume": {**volume, "node_id": "n"},
        "NodeStageVolume": {**volume, **staging},
        "NodePublishVolume": {**volume, **staging, **target},
        "NodeUnpublishVolume": {"volume_id": id, **target},
        "NodeUnstageVolume": {"volume_id": id, **staging},
        "NodeGetVolumeStats": {"volume_id": id, **path},
        "NodeExpandVolume": {"volume_id": id, **path},
        "ControllerUnpublishVolume": {"volume_id": id},
        "ControllerExpandVolume": {"volume_id": id, **sizes},
        "ControllerGetVolume": {"volume_id": id},
        "ControllerModifyVolume": {"volume_id": id},
        "ValidateVolumeCapabilities": {"volume_id": id, "volume_capabilities": [capability]},
        "DeleteSnapshot": {"snapshot_id": snapshot},
        "DeleteVolume": {"volume_id": id},
    }
