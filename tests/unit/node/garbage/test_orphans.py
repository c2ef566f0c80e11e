"""Orphans: patience, and reserved addresses."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.garbage import network
from tiphys.node.garbage.suspects import Suspects
from tiphys.node.runtime.cni import write_cni_config


def test_an_orphan_goes_after_a_while_without_an_owner() -> None:
    suspects = Suspects()
    assert suspects.ripe(["a"], 0, 10) == []
    assert suspects.ripe(["a", "b"], 9, 10) == []
    assert suspects.ripe(["a", "b"], 10, 10) == ["a"]
    assert suspects.ripe(["b"], 18, 10) == []
    assert suspects.ripe(["a", "b"], 19, 10) == ["b"], "a had an owner, or was gone, meanwhile"


@given(st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.floats(0, 20)), max_size=8), st.floats(1, 30))
def test_nothing_goes_that_had_an_owner_within_the_patience(looks: list[tuple[set[str], float]], patience: float) -> None:
    suspects, now = Suspects(), 0.0
    owned = dict.fromkeys("abc", 0.0)
    for ownerless, pause in looks:
        now += pause
        for name in suspects.ripe(ownerless, now, patience):
            assert name in ownerless
            assert now - owned[name] >= patience
        owned |= dict.fromkeys({"a", "b", "c"} - ownerless, now)


def reserve(folder: Path, address: str, owner: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / address).write_text(f"{owner}\r\neth0")
    return folder / address


def test_reserved_addresses_are_those_of_the_configured_networks(tmp_path: Path) -> None:
    conf_dir = tmp_path / "net.d"
    write_cni_config(conf_dir, bridge="br0", pod_cidr="10.1.0.0/24", data_dir=tmp_path / "ipam")
    (conf_dir / "20-other.conflist").write_text(json.dumps({"name": "o", "plugins": [{"type": "loopback"}]}))
    (conf_dir / "30-broken.conflist").write_text("{")
    first = reserve(tmp_path / "ipam" / "br0", "10.1.0.2", "box1")
    second = reserve(tmp_path / "ipam" / "br0", "fd00::2", "box2")
    (first.parent / "lock").touch()
    (first.parent / "last_reserved_ip.0").write_text("10.1.0.2")
    assert network.reservations(conf_dir) == {first: "box1", second: "box2"}
    assert network.reservations(tmp_path / "absent") == {}
    assert not network.release(first, "box9"), "it is another sandbox's by now"
    assert first.exists()
    assert network.release(first, "box1")
    assert network.reservations(conf_dir) == {second: "box2"}
