"""`tiphys controller-manager` and `tiphys scheduler` in processes of their own: of two one works, and after a kill the other."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.unit.scheduler.make import node
from tiphys.api.apps import v1 as apps
from tiphys.api.authentication import v1 as authentication
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta import v1 as meta
from tiphys.api.rbac import v1 as rbac
from tiphys.client import kubeconfig
from tiphys.client.client import Client
from tiphys.controllers.settings import ControllerManagerSettings, ControllerServing
from tiphys.daemon.component import Component
from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.settings import SettingsError
from tiphys.runtime.leader import LeadershipLost
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

SHORT = ("--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s")


class Candidates:
    """Processes of one verb."""

    def __init__(self, verb: str, directory: Path, client: Client) -> None:
        self.verb, self.directory, self.client = verb, directory, client
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        kubeconfig = self.directory / "admin.kubeconfig"
        command = [sys.executable, "-m", "tiphys", self.verb, "--kubeconfig", str(kubeconfig), "--secure-port=0", *SHORT, *options]
        with (self.directory / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    async def leader(self) -> str:
        """Return the identity of the process that holds the lease; "" when none does."""
        try:
            lease = await self.client.get(coordination.Lease, f"kube-{self.verb}", "kube-system")
        except NotFound:
            return ""
        return lease.spec.holderIdentity or ""

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def candidates(verb: str, tmp_path: Path) -> AsyncIterator[Candidates]:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        client = client_for()
        found = Candidates(verb, tmp_path, client)
        try:
            yield found
        finally:
            await found.end()
            await client.close()


def deployment(name: str) -> apps.Deployment:
    labels = {"app": name}
    template = core.PodTemplateSpec(
        metadata=meta.ObjectMeta(labels=labels), spec=core.PodSpec(containers=[core.Container(name="main", image="x")])
    )
    return apps.Deployment(
        metadata=meta.ObjectMeta(name=name, namespace="default"),
        spec=apps.DeploymentSpec(replicas=2, selector=meta.LabelSelector(matchLabels=labels), template=template),
    )


async def prepare(client: Client) -> None:
    """Add what pods need where no controllers run: an account, and a node that is ready."""
    await client.create(core.ServiceAccount(metadata=meta.ObjectMeta(name="default", namespace="default")))
    created = await client.create(node("here"))
    created.spec.taints = []
    created = await client.update(created)
    created.status = node("here").status
    await client.update_status(created)


async def test_another_controller_manager_goes_on_after_a_kill(tmp_path: Path) -> None:
    async with candidates("controller-manager", tmp_path) as both:
        first = await both.start("--controllers=*,-node-ipam", "--root-ca-file", str(tmp_path / "pki" / "ca.crt"))
        leader = await eventually(both.leader)
        second = await both.start()
        await both.client.create(deployment("one"))

        async def count(name: str) -> bool:
            return len((await both.client.list(core.Pod, "default", labels=f"app={name}")).items) == 2

        async def has_root_certificate() -> bool:
            maps = (await both.client.list(core.ConfigMap, "default")).items
            return any(one.metadata.name == "kube-root-ca.crt" and one.data["ca.crt"] for one in maps)

        await eventually(lambda: count("one"))
        await eventually(has_root_certificate)
        assert await both.leader() == leader
        first.kill()

        async def taken_over() -> bool:
            return await both.leader() not in ("", leader)

        await eventually(taken_over)
        await both.client.create(deployment("two"))
        await eventually(lambda: count("two"))
        assert await count("one")
        second.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.wait(), 20) == 0
        assert await both.leader() == "", "a lease that is still held is given up at the end"


async def token_of_manager(client: Client) -> str:
    """Return a token of an account that has no more rights than upstream gives its controller manager."""
    account = meta.ObjectMeta(name="manager", namespace="kube-system")
    await client.create(core.ServiceAccount(metadata=account))
    subject = rbac.Subject(kind="ServiceAccount", name="manager", namespace="kube-system")
    reference = rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name="system:kube-controller-manager")
    await client.create(rbac.ClusterRoleBinding(metadata=meta.ObjectMeta(name="manager"), roleRef=reference, subjects=[subject]))
    lock = rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name="system::leader-locking-kube-controller-manager")
    await client.create(rbac.RoleBinding(metadata=account, roleRef=lock, subjects=[subject]))
    request = authentication.TokenRequest()
    return (await client.post(core.ServiceAccount, "manager", "kube-system", "token", request, authentication.TokenRequest)).status.token


async def test_controllers_act_under_accounts_of_their_own(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        client = client_for()
        admin = kubeconfig.read(tmp_path / "admin.kubeconfig")
        admin.users[0].user = kubeconfig.User(token=await token_of_manager(client))
        await asyncio.to_thread(kubeconfig.save, tmp_path / "manager.kubeconfig", admin)
        options = {"kubeconfig": tmp_path / "manager.kubeconfig", "use_service_account_credentials": True, "kube_api_qps": 1000.0}
        settings = cluster_settings(tmp_path, **options)
        settings = msgspec.structs.replace(settings, controllers=without_pages(settings.controllers))
        stop = asyncio.Event()
        running = asyncio.create_task(Component(settings).run_controllers(stop))
        await client.create(deployment("one"))
        service = core.ServiceSpec(selector={"app": "one"}, ports=[core.ServicePort(port=80)])
        await client.create(core.Service(metadata=meta.ObjectMeta(name="one", namespace="default"), spec=service))

        async def is_done() -> bool:
            assert not running.done(), running
            pods = (await client.list(core.Pod, "default")).items
            slices = (await client.list(discovery.EndpointSlice, "default", labels="kubernetes.io/service-name=one")).items
            return (
                len(pods) == 2 and bool(slices) and bool((await client.list(core.Endpoints, "default", fields="metadata.name=one")).items)
            )

        await eventually(is_done)
        accounts = {one.metadata.name for one in (await client.list(core.ServiceAccount, "kube-system")).items}
        assert {"deployment-controller", "replicaset-controller", "endpoint-controller", "endpointslice-controller"} <= accounts
        await client.delete(apps.Deployment, "one", "default")

        async def is_gone() -> bool:
            return not (await client.list(core.Pod, "default")).items

        await eventually(is_gone)
        stop.set()
        await running
        await client.close()


async def test_another_scheduler_goes_on_after_a_kill(tmp_path: Path) -> None:
    async with candidates("scheduler", tmp_path) as both:
        client = both.client
        await prepare(client)
        first = await both.start()
        leader = await eventually(both.leader)
        await both.start()

        async def place(name: str) -> None:
            pod = core.Pod(
                metadata=meta.ObjectMeta(name=name, namespace="default"),
                spec=core.PodSpec(containers=[core.Container(name="main", image="x")]),
            )
            await client.create(pod)

            async def placed() -> bool:
                return (await client.get(core.Pod, name, "default")).spec.nodeName == "here"

            await eventually(placed)

        await place("one")
        first.kill()
        await place("two")
        assert await both.leader() not in ("", leader)


async def test_a_scheduler_of_another_name_leaves_pods_of_others_alone(tmp_path: Path) -> None:
    """The name comes from a configuration file."""
    config = tmp_path / "scheduler.yaml"
    text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{schedulerName: mine}]\n"
    config.write_text(f"{text}leaderElection: {{resourceName: kube-scheduler-mine}}\n")
    async with candidates("scheduler", tmp_path) as only:
        client = only.client
        await prepare(client)
        for name, scheduler in (("theirs", "default-scheduler"), ("ours", "mine")):
            spec = core.PodSpec(containers=[core.Container(name="main", image="x")], schedulerName=scheduler)
            await client.create(core.Pod(metadata=meta.ObjectMeta(name=name, namespace="default"), spec=spec))
        await only.start("--config", str(config))

        async def placed() -> bool:
            return (await client.get(core.Pod, "ours", "default")).spec.nodeName == "here"

        await eventually(placed)
        assert (await client.get(core.Pod, "theirs", "default")).spec.nodeName == ""
        assert await client.get(coordination.Lease, "kube-scheduler-mine", "kube-system")


def without_pages(settings: ControllerManagerSettings) -> ControllerManagerSettings:
    return msgspec.structs.replace(settings, serving=ControllerServing(port=0))


async def test_a_leader_that_cannot_renew_ends(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (server, client_for):
        settings = cluster_settings(
            tmp_path,
            kubeconfig=tmp_path / "admin.kubeconfig",
            leader_elect_lease_duration=3,
            leader_elect_renew_deadline=2,
            leader_elect_retry_period=1,
            controllers=("namespace",),
        )
        settings = msgspec.structs.replace(settings, controllers=without_pages(settings.controllers))
        running = asyncio.create_task(Component(settings).run_controllers(asyncio.Event()))
        client = client_for()

        async def is_led() -> bool:
            assert not running.done(), running
            try:
                return bool((await client.get(coordination.Lease, "kube-controller-manager", "kube-system")).spec.holderIdentity)
            except NotFound:
                return False

        await eventually(is_led)
        await client.close()
        await server.stop(grace=0.1)
        with pytest.raises(LeadershipLost):
            await asyncio.wait_for(running, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "not in a cluster: .*: give a kubeconfig with --kubeconfig"), ({"controllers": ("odd",)}, "--controllers: unknown odd")],
)
async def test_settings_that_cannot_work_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], message: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match=message):
        await Component(cluster_settings(tmp_path, **options)).run_controllers(asyncio.Event())


async def test_a_damaged_kubeconfig_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a: [")
    settings = cluster_settings(tmp_path, kubeconfig=tmp_path / "config")
    with pytest.raises(SettingsError, match="is not a kubeconfig"):
        await Component(settings).run_controllers(asyncio.Event())
