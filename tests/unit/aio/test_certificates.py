"""Certificates that are replaced under a running context."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiphys.aio.certificates import CertificateFiles
from tiphys.daemon import pki

NOW = datetime.now(UTC)


def make(directory: Path, age: timedelta = timedelta()) -> pki.Pki:
    return pki.ensure(directory, NOW - age, names=pki.Names())


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    """The serial numbers of the certificates that a server and its client show each other."""
    ends = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(ends[0], ends[1], server_side=True)
    other = client.wrap_bio(ends[1], ends[0], server_hostname="localhost")
    waiting = [other, one]
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    certificates = other.getpeercert(), one.getpeercert()
    assert all(certificates)
    served, shown = (str(certificate["serialNumber"]) for certificate in certificates if certificate)
    return served, shown


@pytest.fixture
def old(tmp_path: Path) -> pki.Pki:
    return make(tmp_path / "pki", timedelta(days=300))


def contexts(tree: pki.Pki) -> tuple[ssl.SSLContext, CertificateFiles, ssl.SSLContext, CertificateFiles]:
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tree.ca), ssl.create_default_context(cafile=tree.ca)
    server.verify_mode = ssl.CERT_REQUIRED
    serving, admin = tree.pair("apiserver"), tree.pair("admin")
    server.load_cert_chain(*serving)
    client.load_cert_chain(*admin)
    return (
        server,
        CertificateFiles(server, cert=serving.cert, key=serving.key, ca=tree.ca),
        client,
        CertificateFiles(client, cert=admin.cert, key=admin.key, ca=tree.ca),
    )


def test_new_handshakes_use_new_files(old: pki.Pki) -> None:
    server, server_files, client, client_files = contexts(old)
    before = shake(server, client)
    assert not server_files.refresh()
    assert {"apiserver", "admin"} <= set(make(old.directory).renewed)
    assert shake(server, client) == before
    assert server_files.refresh()
    assert client_files.refresh()
    after = shake(server, client)
    assert not set(before) & set(after)
    assert not server_files.refresh()


def test_a_renewed_authority_is_trusted_beside_the_old_one(tmp_path: Path) -> None:
    tree = make(tmp_path, timedelta(days=3000))
    made = pki.ensure(tree.directory, NOW - timedelta(days=299), names=pki.Names())  # leaves that are good today, under the first authority
    assert "ca" in made.renewed
    server, server_files, client, client_files = contexts(tree)
    shake(server, client)
    tree.ca_key.touch()
    assert {"apiserver"} <= set(make(tree.directory).renewed)
    assert server_files.refresh()
    shake(server, client)
    assert client_files.refresh()
    shake(server, client)


@pytest.mark.parametrize("first", ["cert", "key"])
def test_half_of_a_replacement_changes_nothing(old: pki.Pki, tmp_path: Path, first: str) -> None:
    server, server_files, client, _ = contexts(old)
    before = shake(server, client)
    other = make(tmp_path / "other").pair("apiserver")
    serving = old.pair("apiserver")
    getattr(serving, first).write_bytes(getattr(other, first).read_bytes())
    with pytest.raises(ssl.SSLError):
        server_files.refresh()
    server_files.try_refresh()
    assert shake(server, client) == before


def test_a_file_that_is_gone_changes_nothing(old: pki.Pki) -> None:
    server, server_files, client, _ = contexts(old)
    before = shake(server, client)
    old.pair("apiserver").cert.unlink()
    server_files.try_refresh()
    assert shake(server, client) == before
