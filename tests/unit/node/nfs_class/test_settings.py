"""Parameters of storage classes for NFS shares, and handles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.csi.errors import InvalidArgument
from tiphys.node.nfs_class.settings import NfsVolume, parse_handle, volume_of

CLASS = {"server": "nas.example", "share": "/srv/share"}
CLAIM = {"csi.storage.k8s.io/pvc/name": "c", "csi.storage.k8s.io/pvc/namespace": "ns"}


def volume(**parameters: Any) -> NfsVolume:
    return volume_of("pvc-1", {**CLASS, **CLAIM, **parameters}, ["nfsvers=4.1"])[0]


def test_each_volume_has_a_directory_with_its_name() -> None:
    made, mode = volume_of("pvc-1", CLASS, [])
    assert (made.directory, made.on_delete, mode) == ("pvc-1", "delete", 0o777)
    assert made.own_export.source == "nas.example:/srv/share/pvc-1"
    assert volume_of("pvc-1", {"server": "fd00::1", "path": "/"}, [])[0].own_export.source == "[fd00::1]:/pvc-1"
    assert volume_of("pvc-1", {**CLASS, "mountPermissions": "0"}, [])[1] == 0


def test_the_directory_follows_the_template() -> None:
    assert volume(subDir="${pvc.metadata.namespace}/${pvc.metadata.name}").directory == "ns/c"
    assert volume(subDir="x-${pv.metadata.name}").directory == "x-pvc-1"
    assert volume(subDir="data", onDelete="Retain").directory == "data"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"server": ""}, "server"),
        ({"server": "a:/b"}, "server"),
        ({"share": "srv"}, "absolute path"),
        ({"other": "x"}, "unknown parameters: other"),
        ({"onDelete": "burn"}, "delete, retain or archive"),
        ({"subDir": "data"}, "not unique"),
        ({"subDir": "${pvc.metadata.name}"}, "not unique"),
        ({"subDir": "../${pv.metadata.name}"}, "below the share"),
        ({"subDir": "/${pv.metadata.name}"}, "below the share"),
        ({"subDir": "${pv.metadata.name}-${pvc.metadata.uid}"}, "unknown field"),
        ({"subDir": ".nfs.tiphys.io/${pv.metadata.name}"}, "the driver itself"),
        ({"subDir": "${pv.metadata.name}-${pvc.metadata.name}", "csi.storage.k8s.io/pvc/name": ""}, "not known"),
        ({"mountPermissions": "rwx"}, "octal"),
        ({"mountPermissions": "0999"}, "octal"),
    ],
)
def test_parameters_without_sense_are_refused(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        volume(**parameters)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(server=TEXT, share=TEXT, name=TEXT, options=st.lists(TEXT.filter(lambda text: "," not in text), max_size=3))
def test_a_handle_says_everything(server: str, share: str, name: str, options: list[str]) -> None:
    made = NfsVolume(server=server, share=f"/{share}", directory="a/b", name=name, on_delete="archive", options=tuple(options))
    assert parse_handle(made.handle) == made


@given(st.text(max_size=60))
def test_other_handles_are_nobodys(handle: str) -> None:
    assert parse_handle(handle) is None or handle.count("#") == 5


@pytest.mark.parametrize("directory", ["..", "a/../../b", "", "/etc", ".nfs.tiphys.io/x"])
def test_a_handle_that_leads_out_of_the_share_is_nobodys(directory: str) -> None:
    assert parse_handle(f"nas#/srv#{directory}#pvc-1#delete#") is None
