"""`tiphys csi-sidecar` in processes of its own, with a driver behind a socket: kills, elections, health, registration."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest

from tests.unit.sidecar.driver import NAME, ScriptedDriver
from tests.unit.sidecar.make import storage_class
from tiphys.api.coordination.v1 import Lease
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.csi.pb import registration_pb2
from tiphys.csi.server import served
from tiphys.daemon.saved import checked_settings
from tiphys.daemon.settings import SettingsError
from tiphys.daemon.sidecar import Sidecar
from tiphys.sidecar.names import CLAIM_FINALIZER, STORAGE_PROVISIONER
from tiphys.sidecar.registration import Registration, RegistrationFailed
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

SHORT = (
    "--leader-election", "--leader-election-namespace=kube-system", "--leader-election-lease-duration=4s",
    "--leader-election-renew-deadline=3s", "--leader-election-retry-period=1s",
)  # fmt: skip


class Setup:
    """An API server, a driver behind a socket, and sidecars."""

    def __init__(self, directory: Path, client: Client, driver: ScriptedDriver) -> None:
        self.directory, self.client, self.driver = directory, client, driver
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        kubeconfig, address = self.directory / "admin.kubeconfig", self.directory / "csi.sock"
        command = [sys.executable, "-m", "tiphys", "csi-sidecar", f"--kubeconfig={kubeconfig}", f"--csi-address={address}", *options]
        with (self.directory / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    async def claim(self, name: str) -> core.PersistentVolumeClaim:
        """A new claim, as the binder hands it over."""
        return await self.client.create(
            core.PersistentVolumeClaim(
                metadata=ObjectMeta(name=name, namespace="default", annotations={STORAGE_PROVISIONER: NAME}),
                spec=core.PersistentVolumeClaimSpec(
                    accessModes=["ReadWriteOnce"],
                    storageClassName="fast",
                    resources=core.VolumeResourceRequirements(requests={"storage": Quantity("1Gi")}),
                ),
            )
        )

    async def volume(self, claim: core.PersistentVolumeClaim) -> core.PersistentVolume | None:
        """The volume of a claim once all is done."""
        try:
            there = await self.client.get(core.PersistentVolume, f"pvc-{claim.metadata.uid}")
        except NotFound:
            return None
        live = await self.client.get(core.PersistentVolumeClaim, claim.metadata.name, "default")
        return None if CLAIM_FINALIZER in live.metadata.finalizers else there

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def setup(directory: Path) -> AsyncIterator[Setup]:
    driver = ScriptedDriver()
    async with running_api_server(directory, listen=True) as (_, client_for), served(driver, directory / "csi.sock"):
        client = client_for()
        await client.create(storage_class())
        made = Setup(directory, client, driver)
        try:
            yield made
        finally:
            await made.end()
            await client.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def test_a_killed_leader_is_replaced_and_nothing_is_leaked(tmp_path: Path) -> None:
    async with setup(tmp_path) as made:
        first = await made.start(*SHORT)
        one = await made.claim("one")
        assert await eventually(lambda: made.volume(one), timeout=60)
        await made.start(*SHORT)
        # The driver has made the volume when the process is killed, which does not hear of it.
        killed = asyncio.Event()

        async def kill(_: object) -> None:
            # Whoever serves a call cancels it when the caller is gone, so nothing waits here.
            first.send_signal(signal.SIGKILL)
            killed.set()

        made.driver.after["CreateVolume"] = [kill]
        two = await made.claim("two")
        await asyncio.wait_for(killed.wait(), 60)
        await first.wait()
        await made.client.delete(core.PersistentVolumeClaim, "two", "default")
        lost = f"id-pvc-{two.metadata.uid}"
        assert lost in made.driver.volumes
        await eventually(lambda: lost not in made.driver.volumes, timeout=60)
        lease = await made.client.get(Lease, NAME, "kube-system")
        assert (lease.spec.leaseTransitions or 0) >= 2
        assert list(made.driver.volumes) == [f"id-pvc-{one.metadata.uid}"]


async def test_health_registration_and_a_graceful_end(tmp_path: Path) -> None:
    port = free_port()
    async with setup(tmp_path) as made:
        made.driver.ready = False
        process = await made.start(
            f"--http-endpoint=127.0.0.1:{port}", "--kubelet-registration-path=/var/csi.sock", f"--plugin-registration-path={tmp_path}/reg"
        )
        async with aiohttp.ClientSession() as session:

            async def page(path: str) -> tuple[int, str]:
                try:
                    async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                        return answer.status, await answer.text()
                except aiohttp.ClientError:
                    return 0, ""

            async def is_unready() -> bool:
                return await page("/healthz") == (500, "the driver is not ready\n")

            await eventually(is_unready, timeout=60)
            assert not (tmp_path / "reg").exists()
            made.driver.ready = True
            address = tmp_path / "reg" / f"{NAME}-reg.sock"
            await eventually(address.exists, timeout=60)
            assert await page("/healthz") == (200, "ok\n")
            assert await page("/healthz/leader-election") == (200, "ok")
            assert "workqueue_adds_total" in (await page("/metrics"))[1]
        async with grpc.aio.insecure_channel(f"unix://{address}") as channel:
            info = await _ask(channel, "GetInfo", registration_pb2.InfoRequest(), registration_pb2.PluginInfo)
            assert (info.type, info.name, info.endpoint) == ("CSIPlugin", NAME, "/var/csi.sock")
            status = registration_pb2.RegistrationStatus(plugin_registered=True)
            await _ask(channel, "NotifyRegistrationStatus", status, registration_pb2.RegistrationStatusResponse)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert not address.exists()


async def test_a_refused_driver_ends_the_process(tmp_path: Path) -> None:
    async with setup(tmp_path) as made:
        process = await made.start("--kubelet-registration-path=/var/csi.sock", f"--plugin-registration-path={tmp_path}/reg")
        address = tmp_path / "reg" / f"{NAME}-reg.sock"
        await eventually(address.exists, timeout=60)
        async with grpc.aio.insecure_channel(f"unix://{address}") as channel:
            status = registration_pb2.RegistrationStatus(plugin_registered=False, error="no thanks")
            await _ask(channel, "NotifyRegistrationStatus", status, registration_pb2.RegistrationStatusResponse)
        assert await asyncio.wait_for(process.wait(), 60) == 1
        assert f"the kubelet refused the driver {NAME}: no thanks" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("directory", ["file/below", "d" * 120], ids=["not a directory", "too long"])
async def test_a_registration_socket_that_cannot_be_created_is_an_error_of_the_options(tmp_path: Path, directory: str) -> None:
    (tmp_path / "file").touch()
    registration = Registration(NAME, "/var/csi.sock", tmp_path / directory)
    with pytest.raises(RegistrationFailed, match=r"cannot listen at .*; choose another directory with --plugin-registration-path"):
        await asyncio.wait_for(registration.run(), 60)


async def _ask(channel: grpc.aio.Channel, verb: str, request: object, answer: type) -> registration_pb2.PluginInfo:
    method = channel.unary_unary(
        f"/pluginregistration.Registration/{verb}",
        request_serializer=type(request).SerializeToString,  # type: ignore[attr-defined]
        response_deserializer=answer.FromString,  # type: ignore[attr-defined]
    )
    result: registration_pb2.PluginInfo = await method(request, timeout=30)
    return result


def test_a_node_deployment_needs_the_name_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = checked_settings({}, {("sidecar", "node_deployment"): True})
    monkeypatch.delenv("NODE_NAME", raising=False)
    with pytest.raises(SettingsError, match="NODE_NAME"):
        Sidecar(settings)
    monkeypatch.setenv("NODE_NAME", "n1")
    assert Sidecar(settings).settings.provision.node == "n1"


@pytest.mark.parametrize("gates", [{"Magic": "true"}, {"Topology": "off"}])
def test_unknown_feature_gates_are_refused(gates: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(gates))):
        checked_settings({}, {("sidecar", "feature_gates"): gates})


def test_topology_is_turned_off_by_its_feature_gate() -> None:
    assert checked_settings({}, {}).sidecar.topology
    assert not checked_settings({}, {("sidecar", "feature_gates"): {"Topology": "False"}}).sidecar.topology
