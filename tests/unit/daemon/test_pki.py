"""The cluster's certificate tree: identities, renewal, idempotence, real TLS handshakes."""

from __future__ import annotations

import base64
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from tiphys.daemon import pki

NOW = datetime.now(UTC)
NAMES = pki.Names(host="helm", addresses=("192.0.2.7",))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def snapshot(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def tree(tmp_path: Path) -> pki.Pki:
    return pki.ensure(tmp_path / "pki", NOW, names=NAMES, nodes=["helm"])


@pytest.mark.parametrize(
    ("file", "name", "organizations"),
    [
        ("admin", "kubernetes-admin", ["system:masters"]),
        ("controller-manager", "system:kube-controller-manager", []),
        ("scheduler", "system:kube-scheduler", []),
        ("kube-proxy", "system:kube-proxy", []),
        ("local-path", "tiphys:local-path-provisioner:helm", ["tiphys:local-path-provisioners"]),
        ("node", "system:node:helm", ["system:nodes"]),
        ("apiserver-kubelet-client", "kube-apiserver-kubelet-client", []),
    ],
)
def test_client_identities(tree: pki.Pki, file: str, name: str, organizations: list[str]) -> None:
    subject = certificate(tree.pair(file).cert).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [name]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == organizations


def test_serving_names(tree: pki.Pki) -> None:
    sans = certificate(tree.pair("apiserver").cert).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(sans.get_values_for_type(x509.DNSName)) == {
        "localhost", "helm", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
    }  # fmt: skip
    assert {str(a) for a in sans.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1", "10.43.0.1", "192.0.2.7"}


def test_files_are_private(tree: pki.Pki) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in tree.directory.iterdir()} == {0o600}
    assert not [path for path in tree.directory.iterdir() if path.name.startswith(".")]


def test_a_second_run_changes_nothing(tree: pki.Pki) -> None:
    before = snapshot(tree.directory)
    again = pki.ensure(tree.directory, NOW + timedelta(days=1), names=NAMES, nodes=["helm"])
    assert again.renewed == ()
    assert snapshot(tree.directory) == before


def test_worn_certificates_are_renewed_and_the_keys_of_the_cluster_kept(tree: pki.Pki) -> None:
    before = snapshot(tree.directory)
    later = NOW + timedelta(days=250)
    assert {name for name, _ in tree.expiring(later)} >= {"apiserver.crt", "admin.crt", "node.crt"}
    assert tree.expiring(NOW + timedelta(days=200)) == []
    again = pki.ensure(tree.directory, later, names=NAMES, nodes=["helm"])
    assert "apiserver" in again.renewed
    after = snapshot(tree.directory)
    assert after["apiserver.crt"] != before["apiserver.crt"]
    assert {name: after[name] for name in ("ca.crt", "ca.key", "sa.key")} == {name: before[name] for name in ("ca.crt", "ca.key", "sa.key")}
    assert tree.expiring(later) == []


def test_reports_overdue_renewals_30_days_ahead(tree: pki.Pki) -> None:
    assert tree.ending(NOW + timedelta(days=334)) == []
    names = {name for name, _ in tree.ending(NOW + timedelta(days=336))}
    assert {"apiserver.crt", "admin.crt", "node.crt", "kubelet-server.crt", "front-proxy-client.crt"} <= names
    assert "ca.crt" not in names
    assert {"ca.crt", "front-proxy-ca.crt"} <= {name for name, _ in tree.ending(NOW + timedelta(days=3700))}


def test_a_worn_authority_is_renewed_with_its_key(tree: pki.Pki) -> None:
    old_leaf, old_ca = certificate(tree.pair("admin").cert), tree.ca.read_bytes()
    key = tree.ca_key.read_bytes()
    pki.ensure(tree.directory, NOW + timedelta(days=3000), names=NAMES, nodes=["helm"])
    assert tree.ca_key.read_bytes() == key
    assert tree.ca.read_bytes() != old_ca
    old_leaf.verify_directly_issued_by(certificate(tree.ca))


def test_a_new_address_renews_the_serving_certificates_only(tree: pki.Pki) -> None:
    moved = pki.Names(host="helm", addresses=("192.0.2.8",))
    again = pki.ensure(tree.directory, NOW, names=moved, nodes=["helm"])
    assert set(again.renewed) == {"apiserver", "kubelet-server"}


def test_damaged_files(tree: pki.Pki) -> None:
    tree.pair("admin").cert.write_bytes(b"")
    tree.pair("scheduler").key.write_bytes(tree.pair("admin").key.read_bytes())
    assert set(pki.ensure(tree.directory, NOW, names=NAMES, nodes=["helm"]).renewed) == {"admin", "scheduler"}
    tree.ca_key.write_bytes(b"gone")
    with pytest.raises(pki.PkiError, match=r"ca\.key"):
        pki.ensure(tree.directory, NOW, names=NAMES)


def test_another_authority_reissues_everything(tree: pki.Pki) -> None:
    tree.ca.unlink()
    tree.ca_key.unlink()
    renewed = set(pki.ensure(tree.directory, NOW, names=NAMES, nodes=["helm"]).renewed)
    assert {"ca", "admin", "apiserver", "node", "kubelet-server"} <= renewed
    assert "sa" not in renewed


def test_more_nodes_have_their_own_files(tmp_path: Path) -> None:
    tree = pki.ensure(tmp_path, NOW, names=NAMES, nodes=["a", "b"])
    subject = certificate(tree.pair("node-b").cert).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:b"]


def test_mutual_tls_handshake(tree: pki.Pki) -> None:
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tree.ca))
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_cert_chain(*map(str, tree.pair("apiserver")))
    client_context = ssl.create_default_context(cafile=str(tree.ca))
    client_context.load_cert_chain(*map(str, tree.pair("admin")))
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with server_context.wrap_socket(raw, server_side=True) as connection:
                seen.append(connection.getpeercert())
                connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as raw,
            client_context.wrap_socket(raw, server_hostname="kubernetes.default.svc") as connection,
        ):
            assert connection.recv(1) == b"x"
        thread.join()
    assert "kubernetes-admin" in str(seen[0])


def headers_of(tree: pki.Pki) -> dict[str, str]:
    """The first line of every key file."""
    return {path.name: path.read_text().splitlines()[0] for path in tree.directory.glob("*.key")}


def test_every_key_names_its_algorithm(tree: pki.Pki, tmp_path: Path) -> None:
    """Java clients take a key without the algorithm in its header for an RSA one."""
    named = "-----BEGIN EC PRIVATE KEY-----"
    assert set(headers_of(tree).values()) == {named}
    assert {"ca.key", "sa.key", "admin.key", "node.key", "kubelet-server.key", "front-proxy-ca.key"} <= set(headers_of(tree))
    path = tmp_path / "admin.kubeconfig"
    pki.write_kubeconfig(path, server="https://127.0.0.1:6443", ca=tree.ca, pair=tree.pair("admin"), user="kubernetes-admin")
    key = yaml.safe_load(path.read_text())["users"][0]["user"]["client-key-data"]
    assert base64.b64decode(key).decode().startswith(named)


def test_keys_of_an_earlier_version_are_rewritten_and_stay_the_same(tree: pki.Pki) -> None:
    before = snapshot(tree.directory)
    for path in tree.directory.glob("*.key"):
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        form = serialization.PrivateFormat.PKCS8
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    assert pki.ensure(tree.directory, NOW, names=NAMES, nodes=["helm"]).renewed == ()
    assert snapshot(tree.directory) == before


def test_kubeconfig(tree: pki.Pki, tmp_path: Path) -> None:
    path = tmp_path / "admin.kubeconfig"

    def write() -> bool:
        return pki.write_kubeconfig(path, server="https://127.0.0.1:6443", ca=tree.ca, pair=tree.pair("admin"), user="kubernetes-admin")

    assert write() is True
    assert write() is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "kubernetes-admin@tiphys"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
