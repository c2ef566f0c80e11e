"""Certificates that were not renewed show in `tiphys doctor` and `tiphys status` 30 days before they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tiphys.cli import status
from tiphys.cli.checks import certificates
from tiphys.daemon import pki
from tiphys.daemon.saved import Overrides
from tiphys.daemon.settings import ClusterSettings

NOW = datetime.now(UTC)


def settings_with(directory: Path, *, age: timedelta) -> ClusterSettings:
    pki.ensure(directory / "pki", NOW - age, names=pki.Names(), nodes=["helm"])
    given = Overrides(data_dir=str(directory))
    given.save()
    return given.settings()


@pytest.mark.parametrize(
    ("days", "phrase"),
    [(0, ""), (330, ""), (340, "apiserver.crt expires on {end}, in 24 days"), (364, "in 0 days"), (400, "apiserver.crt expired on {end}")],
)
def test_doctor_warns(tmp_path: Path, days: int, phrase: str) -> None:
    settings = settings_with(tmp_path, age=timedelta(days=days))
    (result,) = certificates.check(settings)
    assert result.status == ("warn" if phrase else "ok")
    end = NOW - timedelta(days=days, minutes=5) + timedelta(days=365)
    assert phrase.format(end=f"{end:%Y-%m-%d}") in result.message


def test_doctor_says_nothing_before_the_first_start(tmp_path: Path) -> None:
    assert list(certificates.check(ClusterSettings(data_dir=str(tmp_path)))) == []


@pytest.mark.parametrize("days", [330, 340])
def test_names_certificates_that_the_node_requested(tmp_path: Path, days: int) -> None:
    settings = settings_with(tmp_path, age=timedelta())
    old = pki.ensure(tmp_path / "old", NOW - timedelta(days=days), names=pki.Names(), nodes=["helm"]).pair("node").cert.read_bytes()
    settings.node_pki_dir.mkdir(parents=True)
    for name in ("kubelet-client", "kubelet-server"):
        (settings.node_pki_dir / f"{name}-current.pem").write_bytes(old)
    assert certificates.late_certificates(settings, NOW) == []
    kubelet = msgspec.structs.replace(settings.kubelet, server_tls_bootstrap=True)
    (result,) = certificates.check(msgspec.structs.replace(settings, kubelet=kubelet))
    assert (result.status, "kubelet-server-current.pem expires on" in result.message) == (("warn", True) if days == 340 else ("ok", False))
    assert "kubelet-client" not in result.message


def test_status_names_them(tmp_path: Path) -> None:
    settings_with(tmp_path, age=timedelta(days=350))
    said = CliRunner().invoke(status.command, ["--data-dir", str(tmp_path)])
    assert "certs    admin.crt expires on" in said.output
    assert f"renewal has failed, see {tmp_path}/log/server.log" in said.output
