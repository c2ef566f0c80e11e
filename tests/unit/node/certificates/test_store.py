"""Files of a kubelet's certificates."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiphys.daemon import pki
from tiphys.node.certificates.request import client_template, generate_key, signing_request
from tiphys.node.certificates.store import Bootstrap, PairStore
from tiphys.testing.certificates import Pair, issue

NOW = datetime.now(UTC)
NODE = "system:node:n1"


class Disk:
    """A store beside the cluster's own certificates, of an authority that can issue more."""

    def __init__(self, root: Path) -> None:
        self.ca, self.root = issue("ca"), root
        self.bootstrap = Bootstrap(root / "node.crt", root / "node.key", root / "ca.crt")
        (root / "ca.crt").write_bytes(self.ca.cert_pem)
        self.renew()
        self.store = PairStore(root / "pki", "kubelet-client", NODE, self.bootstrap)

    def renew(self) -> Pair:
        """Replace the cluster's own pair."""
        pair = issue(NODE, self.ca)
        self.bootstrap.certificate.write_bytes(pair.cert_pem)
        self.bootstrap.key.write_bytes(pair.key_pem)
        return pair

    def add(self, name: str = NODE, *, issuer: Pair | None = None, at: datetime = NOW) -> Pair:
        pair = issue(name, issuer or self.ca)
        self.store.add(pair.cert_pem, pair.key, at)
        return pair

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.root / "pki").iterdir())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_the_clusters_pair_serves_until_one_is_issued(disk: Disk) -> None:
    first = disk.store.prepare(NOW)
    assert not first.is_issued
    assert disk.files == ["kubelet-client-bootstrap.pem", "kubelet-client-current.pem"]
    assert disk.store.current.read_bytes() == disk.bootstrap.certificate.read_bytes() + disk.bootstrap.key.read_bytes()
    renewed = disk.renew()
    assert disk.store.prepare(NOW).certificate == renewed.cert
    assert disk.store.current.read_bytes().startswith(renewed.cert_pem)
    pair = disk.add()
    assert disk.store.prepare(NOW) == (pair.cert, True)
    assert disk.files == ["kubelet-client-" + f"{NOW:%Y-%m-%d-%H-%M-%S}.pem", "kubelet-client-current.pem"]


def test_keeps_the_pair_in_use_and_the_one_before(disk: Disk) -> None:
    disk.store.prepare(NOW)
    for day in range(4):
        disk.add(at=NOW + timedelta(days=day))
    names = [f"kubelet-client-{NOW + timedelta(days=day):%Y-%m-%d-%H-%M-%S}.pem" for day in (2, 3)]
    assert disk.files == [*names, "kubelet-client-current.pem"]
    assert os.readlink(disk.store.current) == names[-1]
    assert all((disk.root / "pki" / name).stat().st_mode & 0o777 == 0o600 for name in names)
    assert (disk.root / "pki").stat().st_mode & 0o777 == 0o700


def test_falls_back_to_the_clusters_pair(disk: Disk) -> None:
    disk.store.prepare(NOW)
    disk.add()
    assert disk.store.prepare(NOW).is_issued
    assert not disk.store.prepare(NOW + timedelta(days=4000)).is_issued
    for name, issuer in (("system:node:n2", None), (NODE, issue("another"))):
        disk.add(name, issuer=issuer)
        assert not disk.store.prepare(NOW).is_issued
    disk.add()
    disk.store.current.resolve().write_bytes(b"damaged")
    assert not disk.store.prepare(NOW).is_issued
    mixed = disk.add()
    disk.store.current.resolve().write_bytes(mixed.cert_pem + issue("x").key_pem)
    assert not disk.store.prepare(NOW).is_issued


def test_a_damaged_pair_of_the_cluster_takes_the_place_of_none(disk: Disk) -> None:
    disk.store.prepare(NOW)
    before = disk.store.current.read_bytes()
    disk.bootstrap.key.write_bytes(issue("x").key_pem)
    with pytest.raises(ValueError, match="the key does not belong to the certificate"):
        disk.store.prepare(NOW)
    assert disk.store.current.read_bytes() == before


def test_a_pending_key_outlives_a_restart_until_its_certificate_comes(disk: Disk) -> None:
    disk.store.prepare(NOW)
    assert disk.store.pending_key() is None
    key = generate_key()
    disk.store.set_pending(key)
    again = PairStore(disk.root / "pki", "kubelet-client", NODE, disk.bootstrap).pending_key()
    assert again is not None
    template = client_template("n1")
    assert signing_request(template, again).metadata.name == signing_request(template, key).metadata.name
    disk.add()
    assert disk.store.pending_key() is None


def test_serves_the_pairs_that_the_cluster_makes(tmp_path: Path) -> None:
    keys = pki.ensure(tmp_path, NOW, names=pki.Names(), nodes=["n1"])
    pair = keys.pair("node")
    assert not PairStore(tmp_path / "node", "kubelet-client", NODE, Bootstrap(pair.cert, pair.key, keys.ca)).prepare(NOW).is_issued
