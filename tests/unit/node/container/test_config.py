"""Pods in the runtime's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.make import pod
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.node.container.config import Inputs, container_config, devices, sandbox_config, spec_hash
from tiphys.node.container.dns_config import Resolver, hosts_file, parse_resolv_conf, pod_resolver
from tiphys.node.container.env import ConfigError, Sources, environment, expand
from tiphys.node.container.fields import Identity
from tiphys.node.container.hooks import run_hook
from tiphys.node.container.memory import MemoryRules
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.host import cgroups
from tiphys.node.pod.plan import Start
from tiphys.node.resources.assigner import Grant, Mount
from tiphys.node.volumes.manager import used_volumes

IDENTITY = Identity(pod_ips=("10.42.0.5",), host_ips=("192.0.2.1",), allocatable={"cpu": "2", "memory": "1Gi"})


def config(it: core.Pod, **inputs: Any) -> pb.ContainerConfig:
    container = it.spec.containers[0]
    inputs.setdefault("mount_paths", [f"/vol/{mount.name}" for mount in container.volumeMounts])
    return container_config(it, container, Start(container.name, "main", 2), Inputs(image_ref="sha256:1", env={}, **inputs))


def test_names_labels_and_logs() -> None:
    it = pod({"name": "a", "tty": True, "stdin": True})
    made = config(it)
    assert made.metadata.name == "a"
    assert made.metadata.attempt == 2
    assert made.log_path == "a/2.log"
    assert (made.tty, made.stdin) == (True, True)
    assert dict(made.labels) == {
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": "u1",
        "io.kubernetes.container.name": "a",
    }
    assert made.annotations["io.kubernetes.container.hash"] == spec_hash(it.spec.containers[0])


def test_grants_of_assigners() -> None:
    """The pod's own variables and mounts count more than those of a device."""
    it = pod({"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/taken"}]}, volumes=[{"name": "v", "emptyDir": {}}])
    grant = Grant(
        cpus=frozenset({1, 2, 3, 8}),
        memory_nodes=frozenset({1}),
        env={"DEVICE": "0", "OWN": "theirs"},
        mounts=[Mount("/host/lib", "/lib/gpu", read_only=True), Mount("/host/x", "/taken")],
        devices=[("/dev/a", "/dev/b", "rw")],
        annotations={"vendor": "x", "io.kubernetes.container.restartCount": "99"},
        cdi_devices=["vendor.com/gpu=0"],
    )
    container = it.spec.containers[0]
    inputs = Inputs(image_ref="sha256:1", env={"OWN": "ours"}, mount_paths=["/vol/v"], devices=[("/dev/x", "/dev/y", "r")], grant=grant)
    config = container_config(it, container, Start("a", "main", 2), inputs)
    assert (config.linux.resources.cpuset_cpus, config.linux.resources.cpuset_mems) == ("1-3,8", "1")
    assert {one.key: one.value for one in config.envs} == {"DEVICE": b"0", "OWN": b"ours"}
    assert [(one.host_path, one.container_path, one.readonly) for one in config.mounts[:2]] == [
        ("/vol/v", "/taken", False),
        ("/host/lib", "/lib/gpu", True),
    ]
    assert [(one.host_path, one.container_path, one.permissions) for one in config.devices] == [
        ("/dev/x", "/dev/y", "r"),
        ("/dev/a", "/dev/b", "rw"),
    ]
    assert (config.annotations["vendor"], config.annotations["io.kubernetes.container.restartCount"]) == ("x", "2")
    assert [one.name for one in config.CDI_devices] == ["vendor.com/gpu=0"]


def test_the_sandbox() -> None:
    it = pod({"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}]}, hostname="h", subdomain="s")
    made = sandbox_config(
        it, 1, resolver=Resolver(("10.43.0.10",), ("x",), ("ndots:5",)), domain="cluster.local", log_root="/logs", cgroup_parent="/g"
    )
    assert made.metadata.attempt == 1
    assert made.hostname == "h"
    assert made.log_directory == "/logs/default_web_u1"
    assert list(made.dns_config.servers) == ["10.43.0.10"]
    assert [(port.container_port, port.host_port) for port in made.port_mappings] == [(80, 8080)]
    assert made.linux.cgroup_parent == "/g"
    assert made.linux.security_context.namespace_options.network == pb.POD
    assert made.linux.security_context.namespace_options.pid == pb.CONTAINER


def test_the_overhead_of_a_sandbox() -> None:
    it = pod({"name": "a"}, overhead={"cpu": "250m", "memory": "64Mi"})
    made = sandbox_config(it, 0, resolver=Resolver(), domain="cluster.local", log_root="/logs", cgroup_parent="/g")
    found = made.linux.overhead
    assert (found.cpu_quota, found.cpu_period, found.cpu_shares, found.memory_limit_in_bytes) == (25000, 100000, 256, 64 << 20)
    it.spec.overhead = {}
    made = sandbox_config(it, 0, resolver=Resolver(), domain="cluster.local", log_root="/logs", cgroup_parent="/g")
    assert not made.linux.HasField("overhead")


def test_host_namespaces() -> None:
    made = config(pod({"name": "a"}, hostNetwork=True, hostPID=True, hostIPC=True)).linux.security_context.namespace_options
    assert (made.network, made.pid, made.ipc) == (pb.NODE, pb.NODE, pb.NODE)
    assert config(pod({"name": "a"}, shareProcessNamespace=True)).linux.security_context.namespace_options.pid == pb.POD


def test_resources_become_cgroup_values() -> None:
    resources = {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m", "memory": "32Mi"}}
    linux = config(pod({"name": "a", "resources": resources}), memory=MemoryRules(capacity=1 << 30)).linux.resources
    assert (linux.cpu_shares, linux.cpu_quota, linux.cpu_period) == (256, 50_000, 100_000)
    assert linux.memory_limit_in_bytes == 64 << 20
    assert linux.oom_score_adj == 1000 - 1000 * (32 << 20) // (1 << 30)
    assert config(pod({"name": "a"})).linux.resources.oom_score_adj == 1000
    assert config(pod({"name": "a"})).linux.resources.cpu_shares == 2


def test_pod_limits_need_every_container() -> None:
    amounts = {"cpu": "1", "memory": "10Mi"}
    limited = {"resources": {"limits": amounts, "requests": amounts}}  # the API server copies limits into requests
    both = cgroups.pod_limits(pod({"name": "a", **limited}, {"name": "b", **limited}))
    assert (both.cpu_shares, both.cpu_quota, both.memory) == (2048, 200_000, 20 << 20)
    one = cgroups.pod_limits(pod({"name": "a", **limited}, {"name": "b"}))
    assert (one.cpu_quota, one.memory) == (None, None)
    big_init = cgroups.pod_limits(
        pod({"name": "a", **limited}, initContainers=[{"name": "i", "resources": {"limits": {"cpu": "3", "memory": "1Mi"}}}])
    )
    assert (big_init.cpu_quota, big_init.memory) == (300_000, 10 << 20)


def test_security_context_of_the_container_wins() -> None:
    it = pod(
        {
            "name": "a",
            "securityContext": {
                "runAsUser": 5,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            },
        },
        securityContext={
            "runAsUser": 1,
            "runAsGroup": 2,
            "fsGroup": 3,
            "supplementalGroups": [4],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    )
    made = config(it).linux.security_context
    assert (made.run_as_user.value, made.run_as_group.value) == (5, 2)
    assert list(made.supplemental_groups) == [3, 4]
    assert made.no_new_privs
    assert made.readonly_rootfs
    assert (list(made.capabilities.add_capabilities), list(made.capabilities.drop_capabilities)) == (["NET_ADMIN"], ["ALL"])
    assert made.seccomp.profile_type == pb.SecurityProfile.RuntimeDefault
    assert "/proc/kcore" in made.masked_paths


@pytest.mark.parametrize(("inputs", "uid", "name"), [({}, 0, ""), ({"image_uid": 7}, 7, ""), ({"image_user": "me"}, None, "me")])
def test_a_group_alone_goes_with_the_user_of_the_image(inputs: dict[str, Any], uid: int | None, name: str) -> None:
    security = config(pod({"name": "a", "securityContext": {"runAsGroup": 5}}), **inputs).linux.security_context
    assert security.run_as_group.value == 5
    assert (security.run_as_user.value if security.HasField("run_as_user") else None, security.run_as_username) == (uid, name)


def test_run_as_non_root_is_kept() -> None:
    it = pod({"name": "a", "securityContext": {"runAsNonRoot": True}})
    with pytest.raises(ConfigError, match="image will run as root"):
        config(it)
    with pytest.raises(ConfigError, match="non-numeric user"):
        config(it, image_user="www")
    assert config(it, image_uid=33).linux.security_context.run_as_user.value == 33
    with pytest.raises(ConfigError, match="breaks non-root policy"):
        config(pod({"name": "a", "securityContext": {"runAsNonRoot": True, "runAsUser": 0}}))


def test_mounts() -> None:
    it = pod(
        {
            "name": "a",
            "volumeMounts": [
                {"name": "d", "mountPath": "/d", "readOnly": True},
                {"name": "c", "mountPath": "/c", "mountPropagation": "HostToContainer"},
                {"name": "e", "mountPath": "e"},
            ],
        },
        volumes=[{"name": "d", "emptyDir": {}}, {"name": "c", "configMap": {"name": "x"}}, {"name": "e", "emptyDir": {}}],
    )
    made = config(it, hosts_path="/h", message_path="/m").mounts
    assert [(mount.container_path, mount.host_path, mount.readonly) for mount in made] == [
        ("/d", "/vol/d", True),
        ("/c", "/vol/c", True),
        ("/e", "/vol/e", False),
        ("/etc/hosts", "/h", False),
        ("/dev/termination-log", "/m", False),
    ]
    assert made[1].propagation == pb.PROPAGATION_HOST_TO_CONTAINER


# -- environment


def test_expansion() -> None:
    values = {"A": "1", "B": "$(A)"}
    assert expand("$(A) $(B) $(C) $$(A) $ $x", values) == "1 $(A) $(C) $(A) $ $x"


def env(container: dict[str, Any], sources: Sources | None = None, **spec: Any) -> dict[str, str]:
    it = pod({"name": "a", **container}, **spec)
    return environment(it, it.spec.containers[0], sources or Sources(identity=IDENTITY))


def test_variables_refer_to_earlier_ones() -> None:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}, {"name": "C", "value": "$(D)"}, {"name": "D", "value": "x"}]
    assert env({"env": variables}) == {"A": "1", "B": "12", "C": "$(D)", "D": "x"}


def test_downward_api() -> None:
    def field(path: str) -> dict[str, Any]:
        return {"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}

    meta_ = {"labels": {"app": "x"}, "annotations": {"a": "b"}}
    assert env({"env": [field("metadata.name")]}) == {"V": "web"}
    assert env({"env": [field("status.podIP")]}) == {"V": "10.42.0.5"}
    assert env({"env": [field("status.hostIP")]}) == {"V": "192.0.2.1"}
    assert env({"env": [field("metadata.labels['app']")]}, metadata=meta_) == {"V": "x"}

    def amount(resource: str, divisor: str = "") -> dict[str, Any]:
        ref = {"resource": resource, **({"divisor": divisor} if divisor else {})}
        return {"name": "V", "valueFrom": {"resourceFieldRef": ref}}

    resources = {"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}}
    assert env({"env": [amount("limits.memory")], "resources": resources}) == {"V": str(64 << 20)}
    assert env({"env": [amount("limits.memory", "1Mi")], "resources": resources}) == {"V": "64"}
    assert env({"env": [amount("requests.cpu", "1m")], "resources": resources}) == {"V": "250"}
    assert env({"env": [amount("requests.cpu")], "resources": resources}) == {"V": "1"}
    assert env({"env": [amount("limits.cpu")], "resources": resources}) == {"V": "2"}, "the node's allocatable"


def test_config_maps_and_secrets() -> None:
    sources = Sources(
        config_maps={"c": core.ConfigMap(data={"k": "v", "n": "1"})}, secrets={"s": core.Secret(data={"p": b"q"})}, identity=IDENTITY
    )
    container = {
        "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "P_"}, {"secretRef": {"name": "gone", "optional": True}}],
        "env": [
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
            {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "gone", "optional": True}}},
        ],
    }
    assert env(container, sources) == {"P_k": "v", "P_n": "1", "K": "v", "P": "q"}
    with pytest.raises(ConfigError, match='configmap "none" not found'):
        env({"envFrom": [{"configMapRef": {"name": "none"}}]}, sources)
    with pytest.raises(ConfigError, match="couldn't find key x in Secret default/s"):
        env({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "x"}}}]}, sources)


def service(name: str, namespace: str, ip: str) -> core.Service:
    ports = [core.ServicePort(name="http", port=80, protocol="TCP"), core.ServicePort(name="dns", port=53, protocol="UDP")]
    return core.Service(metadata=meta.ObjectMeta(name=name, namespace=namespace), spec=core.ServiceSpec(clusterIP=ip, ports=ports))


def test_service_variables() -> None:
    services = [
        service("kubernetes", "default", "10.43.0.1"),
        service("my-db", "team", "10.43.0.7"),
        service("other", "elsewhere", "10.43.0.8"),
        service("headless", "team", "None"),
    ]
    made = env({}, Sources(services=services), metadata={"namespace": "team"})
    assert made["KUBERNETES_SERVICE_HOST"] == "10.43.0.1"
    assert made["MY_DB_SERVICE_PORT_DNS"] == "53"
    assert made["MY_DB_PORT"] == "tcp://10.43.0.7:80"
    assert made["MY_DB_PORT_53_UDP_ADDR"] == "10.43.0.7"
    assert not any(name.startswith(("OTHER", "HEADLESS")) for name in made)
    plain = env({"env": [{"name": "X", "value": "$(KUBERNETES_SERVICE_HOST)"}]}, Sources(services=services), enableServiceLinks=False)
    assert plain["X"] == "10.43.0.1"
    assert not any(name.startswith("MY_DB") for name in plain)


# -- names


HOST = parse_resolv_conf("# x\nnameserver 192.0.2.53\nsearch corp.example\noptions timeout:1 ndots:2\n")


def resolver(**spec: Any) -> Resolver:
    return pod_resolver(pod(**spec), HOST, cluster_dns=["10.43.0.10"], domain="cluster.local")


def test_dns_policies() -> None:
    first = resolver(dnsPolicy="ClusterFirst")
    assert first.servers == ("10.43.0.10",)
    assert first.searches == ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example")
    assert "ndots:5" in first.options
    assert resolver(dnsPolicy="Default") == HOST
    assert resolver(dnsPolicy="ClusterFirst", hostNetwork=True) == HOST
    assert resolver(dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True) == first
    own = {"nameservers": ["1.1.1.1"], "searches": ["s"], "options": [{"name": "ndots", "value": "1"}, {"name": "edns0"}]}
    assert resolver(dnsPolicy="None", dnsConfig=own) == Resolver(("1.1.1.1",), ("s",), ("ndots:1", "edns0"))
    merged = resolver(dnsPolicy="ClusterFirst", dnsConfig=own)
    assert merged.servers == ("10.43.0.10", "1.1.1.1")
    assert "ndots:1" in merged.options
    assert "ndots:5" not in merged.options


def test_hosts_file() -> None:
    it = pod(hostname="h", subdomain="s", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["x", "y"]}])
    text = hosts_file(it, ["10.42.0.5"], domain="cluster.local")
    assert "10.42.0.5\th.s.default.svc.cluster.local\th\n" in text
    assert "1.2.3.4\tx\ty\n" in text
    assert "127.0.0.1\tlocalhost\n" in text


def test_a_variable_comes_from_a_file_or_keeps_the_container_from_starting() -> None:
    def found(text: str | None, *, optional: bool = False, known: bool = True) -> dict[str, str]:
        ref = {"volumeName": "config", "path": "env", "key": "NAME", "optional": optional}
        it = pod({"name": "main", "env": [{"name": "A", "valueFrom": {"fileKeyRef": ref}}, {"name": "B", "value": "$(A)!"}]})
        return environment(it, it.spec.containers[0], Sources(identity=IDENTITY, files={("config", "env"): text} if known else {}))

    assert found("NAME='me'\n") == {"A": "me", "B": "me!"}
    for text in (None, "", "OTHER='x'", "NAME=''"):
        assert found(text, optional=True) == {"B": "$(A)!"}
        with pytest.raises(ConfigError, match='environment variable key "NAME" not found in file "env"'):
            found(text)
    with pytest.raises(ConfigError, match="couldn't parse env file: invalid environment variable format at line 1: missing '='"):
        found("NAME", optional=True)
    with pytest.raises(ConfigError, match='cannot find the volume "config" referenced by FileKeyRef'):
        found("", optional=True, known=False)


@pytest.mark.parametrize(("mode", "supported", "recursive"), [
    ("Enabled", True, True), ("IfPossible", True, True), ("IfPossible", False, False), ("Disabled", True, False), (None, True, False),
])  # fmt: skip
def test_mounts_are_read_only_all_the_way_down_where_the_runtime_can(mode: str | None, supported: bool, recursive: bool) -> None:
    mount = {"name": "d", "mountPath": "/d", "readOnly": True, "recursiveReadOnly": mode}
    it = pod({"name": "a", "volumeMounts": [mount]}, volumes=[{"name": "d", "emptyDir": {}}])
    (made,) = config(it, recursive_read_only=supported).mounts
    assert (made.container_path, made.readonly, made.recursive_read_only) == ("/d", True, recursive)


def test_a_read_only_mount_that_cannot_be_recursive_is_refused() -> None:
    mount = {"name": "d", "mountPath": "/d", "readOnly": True, "recursiveReadOnly": "Enabled"}
    it = pod({"name": "a", "volumeMounts": [mount]}, volumes=[{"name": "d", "emptyDir": {}}])
    with pytest.raises(ConfigError, match='volume "d" requested recursive read-only mode, but it is not supported by the runtime'):
        config(it)


def test_containers_without_a_profile_get_the_runtimes_if_the_node_says_so() -> None:
    kinds = pb.SecurityProfile.ProfileType

    def profile(context: dict[str, Any], **inputs: Any) -> object:
        return config(pod({"name": "a", "securityContext": context}), **inputs).linux.security_context.seccomp.profile_type

    assert profile({}) == kinds.Unconfined
    assert profile({}, seccomp_default=True) == kinds.RuntimeDefault
    assert profile({"seccompProfile": {"type": "Unconfined"}}, seccomp_default=True) == kinds.Unconfined


@pytest.mark.parametrize(("policy", "expected"), [(None, pb.Merge), ("Merge", pb.Merge), ("Strict", pb.Strict)])
def test_the_runtime_is_told_which_groups_of_the_image_count(policy: str | None, expected: object) -> None:
    it = pod({"name": "a"}, securityContext={"supplementalGroups": [5], "supplementalGroupsPolicy": policy})
    box = sandbox_config(it, 0, resolver=Resolver(), domain="cluster.local", log_root="/logs", cgroup_parent="/g")
    contexts = (config(it).linux.security_context, box.linux.security_context)
    assert [(one.supplemental_groups_policy, list(one.supplemental_groups)) for one in contexts] == [(expected, [5])] * 2


async def test_a_hook_that_nobody_can_run_fails() -> None:
    it = pod({"name": "a", "lifecycle": {"preStop": {"tcpSocket": {"port": 80}}}})
    lifecycle = it.spec.containers[0].lifecycle
    assert lifecycle is not None
    assert lifecycle.preStop is not None
    cri = CriClient(Path("/nowhere"))
    said = await run_hook(cri, LoopClock(), it.spec.containers[0], lifecycle.preStop, container_id="c", pod_ip="192.0.2.1", timeout=1.0)
    await cri.close()
    assert said.startswith("Cannot run handler: invalid handler: ")


def test_a_volume_that_is_used_as_a_device_is_not_forgotten() -> None:
    devices = [{"name": "disk", "devicePath": "/dev/xvda"}]
    volumes: list[dict[str, Any]] = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in ("disk", "idle")]
    assert [one.name for one in used_volumes(pod({"name": "a", "volumeDevices": devices}, volumes=volumes))] == ["disk"]


def test_claims_bring_devices_groups_and_read_only_mounts() -> None:
    volumes = [
        {"name": "disk", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "safe", "persistentVolumeClaim": {"claimName": "d", "readOnly": True}},
    ]
    container = {
        "name": "a",
        "volumeDevices": [{"name": "disk", "devicePath": "/dev/x"}, {"name": "safe", "devicePath": "/dev/y"}],
        "volumeMounts": [{"name": "safe", "mountPath": "/safe"}],
    }
    it = pod(container, volumes=volumes, securityContext={"supplementalGroups": [4]})
    links = {"disk": Path("/pods/u1/x"), "safe": Path("/pods/u1/y")}
    assert devices(it, it.spec.containers[0], links) == [("/pods/u1/x", "/dev/x", "mrw"), ("/pods/u1/y", "/dev/y", "r")]
    with pytest.raises(ConfigError, match='volume "disk" is not mapped'):
        devices(it, it.spec.containers[0], {})
    made = config(it, mount_paths=["/host"], groups=[4, 7])
    assert made.mounts[0].readonly
    assert list(made.linux.security_context.supplemental_groups) == [4, 7]
