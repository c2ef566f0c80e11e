"""`--enable-admission-plugins` and `--disable-admission-plugins`, from the settings to what the server does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.apiserver.api import NS, Api, Doc
from tests.integration.apiserver.process import free_port
from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.server import Daemon
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.settings.option import names_in


def settings(directory: Path, *, on: str = "", off: str = "") -> ClusterSettings:
    return cluster_settings(
        directory,
        store="memory://",
        secure_port=free_port(),
        enable_admission_plugins=names_in(on),
        disable_admission_plugins=names_in(off),
    )


async def test_plugins_are_chosen_by_name(tmp_path: Path) -> None:
    daemon = Daemon(settings(tmp_path, on="DenyServiceExternalIPs", off="StorageObjectInUseProtection, ServiceAccount"))
    await daemon.start()
    assert daemon.server is not None
    try:
        api = Api(daemon.server)
        volume: Doc = {"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}
        volume["spec"]["hostPath"] = {"path": "/x"}
        assert "finalizers" not in (await api.post("/api/v1/persistentvolumes", volume)).doc["metadata"]
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]}}
        assert "Use of external IPs is denied by admission control" in (await api.post(f"{NS}/services", service)).message
    finally:
        await daemon.server.stop(grace=0.1)


async def test_a_name_that_does_not_exist_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match='enable-admission-plugins plugin "Odd" is unknown'):
        await Daemon(settings(tmp_path, on="Odd")).start()
