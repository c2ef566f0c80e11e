"""KubeletConfiguration: what it sets, what it refuses, and that `/configz` shows the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys.api.machinery.introspect import describe
from tiphys.daemon.config import read_config
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.node.configuration import GROUP_VERSION, KIND, KubeletConfiguration
from tiphys.node.serve.endpoints.configz import configuration
from tiphys.node.settings import KubeletOptions, NodeSettings
from tiphys.settings.file import Sets, roles
from tiphys.settings.layers import convert
from tiphys.settings.option import extended, fields

KUBEADM = """
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    cacheTTL: 0s
    enabled: true
authorization:
  mode: Webhook
  webhook:
    cacheAuthorizedTTL: 0s
    cacheUnauthorizedTTL: 0s
cgroupDriver: cgroupfs
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.test
containerRuntimeEndpoint: ""
cpuManagerReconcilePeriod: 0s
crashLoopBackOff: {}
evictionPressureTransitionPeriod: 0s
fileCheckFrequency: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 10248
httpCheckFrequency: 0s
imageMaximumGCAge: 0s
imageMinimumGCAge: 0s
kind: KubeletConfiguration
logging: {}
memorySwap: {}
nodeStatusReportFrequency: 0s
nodeStatusUpdateFrequency: 0s
rotateCertificates: false
runtimeRequestTimeout: 0s
shutdownGracePeriod: 0s
shutdownGracePeriodCriticalPods: 0s
staticPodPath: ""
streamingConnectionIdleTimeout: 0s
syncFrequency: 0s
volumeStatsAggPeriod: 0s
"""
"""A file as kubeadm writes it, but for what Tiphys does not do."""

STATIC = {"cpuManagerPolicy": "static", "kubeReserved": {"cpu": "1"}}


def read(tmp_path: Path, document: dict[str, Any] | str) -> ClusterSettings:
    path = tmp_path / "kubelet.yaml"
    if isinstance(document, dict):
        document = yaml.safe_dump({"apiVersion": GROUP_VERSION, "kind": KIND, **document})
    path.write_text(document)
    return convert(ClusterSettings, {"data_dir": "/d", **read_config(path)})


def test_every_field_that_sets_something_sets_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    settings = read(
        tmp_path,
        {
            "address": "192.0.2.1",
            "port": 11250,
            "tlsCertFile": str(file),
            "tlsPrivateKeyFile": str(file),
            "rotateCertificates": True,
            "serverTLSBootstrap": True,
            "authentication": {"x509": {"clientCAFile": str(file)}},
            "healthzPort": 0,
            "healthzBindAddress": "192.0.2.2",
            "registerWithTaints": [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"}],
            "nodeStatusUpdateFrequency": "20s",
            "nodeStatusReportFrequency": "10m",
            "nodeLeaseDurationSeconds": 60,
            "shutdownGracePeriod": "1m30s",
            "shutdownGracePeriodCriticalPods": "30s",
            "staticPodPath": "/manifests",
            "staticPodURL": "https://192.0.2.1/pods",
            "staticPodURLHeader": {"Authorization": ["Bearer a"]},
            "fileCheckFrequency": "5s",
            "httpCheckFrequency": "1m",
            "maxPods": 50,
            "podCIDR": "10.1.0.0/24",
            "kubeReserved": {"cpu": "100m", "memory": "200Mi"},
            "systemReserved": {"pid": "1000", "ephemeral-storage": "1Gi"},
            "enforceNodeAllocatable": ["pods", "kube-reserved"],
            "kubeReservedCgroup": "/kube",
            "evictionHard": {"memory.available": "1Gi", "pid.available": "5%"},
            "mergeDefaultEvictionSettings": True,
            "evictionSoft": {"nodefs.available": "20%"},
            "evictionSoftGracePeriod": {"nodefs.available": "1m30s"},
            "evictionMinimumReclaim": {"nodefs.available": "1Gi", "imagefs.available": "2%"},
            "evictionPressureTransitionPeriod": "1m",
            "evictionMaxPodGracePeriod": 30,
            "cpuManagerPolicy": "static",
            "cpuManagerPolicyOptions": {"full-pcpus-only": "true"},
            "cpuManagerReconcilePeriod": "5s",
            "memoryManagerPolicy": "Static",
            "reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi", "hugepages-2Mi": "2Mi"}}],
            "topologyManagerPolicy": "restricted",
            "topologyManagerScope": "pod",
            "topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": "true"},
            "clusterDomain": "example.test",
            "clusterDNS": ["192.0.2.53"],
            "resolvConf": str(file),
            "podPidsLimit": 100,
            "seccompDefault": True,
            "allowedUnsafeSysctls": ["net.core.somaxconn"],
            "podLogsDir": "/logs",
            "containerLogMaxSize": "5Mi",
            "containerLogMaxFiles": 3,
            "crashLoopBackOff": {"maxContainerRestartPeriod": "20s"},
            "memorySwap": {"swapBehavior": "LimitedSwap"},
            "memoryThrottlingFactor": 0.5,
            "memoryReservationPolicy": "TieredReservation",
            "singleProcessOOMKill": True,
            "containerLogMaxWorkers": 2,
            "containerLogMonitorInterval": "30s",
            "registryPullQPS": 2,
            "registryBurst": 3,
            "maxParallelImagePulls": 7,
            "serializeImagePulls": False,
            "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages",
            "preloadedImagesVerificationAllowlist": ["example.test/a", "example.test/b/*"],
            "imageMinimumGCAge": "1m",
            "imageMaximumGCAge": "24h",
            "imageGCHighThresholdPercent": 70,
            "imageGCLowThresholdPercent": 60,
        },
    )
    assert settings.network.domain == "example.test"
    assert settings.kubelet == KubeletOptions(
        bind="192.0.2.1",
        port=11250,
        tls_cert=file,
        tls_key=file,
        client_ca=file,
        rotate_certificates=True,
        server_tls_bootstrap=True,
        healthz_port=0,
        healthz_bind="192.0.2.2",
        taints=("a=b:NoSchedule", "c:NoExecute"),
        status_period=20.0,
        status_report=600.0,
        lease_seconds=60,
        shutdown_grace=90.0,
        shutdown_grace_critical=30.0,
        static_pod_path=Path("/manifests"),
        static_pod_url="https://192.0.2.1/pods",
        static_pod_url_header={"Authorization": ("Bearer a",)},
        file_check=5.0,
        http_check=60.0,
        max_pods=50,
        pod_cidr="10.1.0.0/24",
        kube_reserved={"cpu": "100m", "memory": "200Mi"},
        system_reserved={"pid": "1000", "ephemeral-storage": "1Gi"},
        enforce_allocatable=("pods", "kube-reserved"),
        kube_reserved_cgroup="/kube",
        eviction_hard={"memory.available": "1Gi", "pid.available": "5%"},
        eviction_defaults=True,
        eviction_soft={"nodefs.available": "20%"},
        eviction_soft_grace={"nodefs.available": "1m30s"},
        eviction_reclaim={"nodefs.available": "1Gi", "imagefs.available": "2%"},
        eviction_transition=60.0,
        eviction_max_grace=30,
        cpu_policy="static",
        cpu_policy_options={"full-pcpus-only": "true"},
        cpu_reconcile_period=5.0,
        memory_policy="Static",
        reserved_node_memory={"0:memory": "1Gi", "0:hugepages-2Mi": "2Mi"},
        topology_policy="restricted",
        topology_scope="pod",
        topology_policy_options={"prefer-closest-numa-nodes": "true"},
        cluster_dns=("192.0.2.53",),
        resolv_conf=file,
        pod_max_pids=100,
        seccomp_default=True,
        allowed_unsafe_sysctls=("net.core.somaxconn",),
        log_root=Path("/logs"),
        log_max_bytes=5 << 20,
        log_max_files=3,
        longest_restart_backoff=20.0,
        swap_behavior="LimitedSwap",
        memory_throttling=0.5,
        memory_reservation="TieredReservation",
        single_process_oom_kill=True,
        log_workers=2,
        log_period=30.0,
        pulls_per_second=2.0,
        pull_burst=3,
        max_parallel_pulls=7,
        pull_verification="NeverVerifyAllowlistedImages",
        pull_allowlist=("example.test/a", "example.test/b/*"),
        image_min_age=60.0,
        image_max_age=86400.0,
        image_gc_high=70,
        image_gc_low=60,
    )


def paths(type_: type = KubeletConfiguration) -> list[str]:
    own = [path for role in roles(type_).values() if isinstance(role, Sets) for path in role.paths]
    inner = (about.shape.struct for about in describe(type_).fields.values())
    return own + [path for struct in inner if struct is not None for path in paths(struct)]


def test_every_path_leads_to_a_setting_of_the_agent() -> None:
    tree = {"kubelet": {field.name for field in fields(KubeletOptions)}, "network": {"domain"}}
    agent = {field.name for field in fields(NodeSettings)}
    for path in paths():
        part, _, name = path.partition(".")
        assert name in tree[part]
        assert name in agent


def test_every_setting_of_the_kubelet_has_an_option_or_a_field() -> None:
    by_file = {path.partition(".")[2] for path in paths()}
    assert [field.name for field in fields(KubeletOptions) if field.option is None and field.name not in by_file] == []


def test_a_file_of_kubeadm_is_read(tmp_path: Path) -> None:
    settings = read(tmp_path, KUBEADM)
    assert settings.kubelet == KubeletOptions(cluster_dns=("10.96.0.10",), healthz_port=10248)
    assert settings.network.domain == "cluster.test"


def test_the_page_can_be_read_back(tmp_path: Path) -> None:
    """`/configz` speaks of the same fields, and a file made of it changes nothing."""
    options = KubeletOptions(
        max_pods=7,
        taints=("a=b:NoSchedule", "c:NoExecute"),
        kube_reserved={"cpu": "250m"},
        reserved_cpus="0",
        enforce_allocatable=(),
        eviction_hard={},
        eviction_transition=12.5,
        status_period=12.5,
        pod_max_pids=99,
        healthz_port=0,
        cluster_dns=("192.0.2.53",),
        allowed_unsafe_sysctls=("net.core.somaxconn",),
        log_root=Path("/logs"),
    )
    shown = configuration(extended(NodeSettings, options, name="n", root=Path("/r"), tls_cert=Path(__file__), domain="example.test"))
    document = shown["kubeletconfig"]
    assert set(document) <= set(KubeletConfiguration.__struct_fields__)
    settings = read(tmp_path, document)
    assert settings.kubelet == extended(KubeletOptions, options, tls_cert=Path(__file__))
    assert settings.network.domain == "example.test"


def test_the_page_shows_defaults() -> None:
    shown = configuration(NodeSettings(name="n", root=Path("/r")))["kubeletconfig"]
    assert shown["evictionHard"]["memory.available"] == "100Mi"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"address": "here"}, "address: here is not an IP address"),
        ({"port": 70000}, "port: 70000 is not in the range: it must be at least 1 and at most 65535"),
        ({"containerLogMaxSize": "much"}, "containerLogMaxSize: much is not a size such as 10Mi"),
        ({"containerLogMonitorInterval": "2s"}, "containerLogMonitorInterval: 2s must be at least 3s"),
        ({"containerLogMaxFiles": 1}, "containerLogMaxFiles: 1 is not in the range: it must be at least 2"),
        (
            {"imageGCHighThresholdPercent": 101},
            "imageGCHighThresholdPercent: 101 is not in the range: it must be at least 0 and at most 100",
        ),
        ({"imageMaximumGCAge": "-1s"}, "imageMaximumGCAge: -1s must not be negative"),
        ({"nodeStatusUpdateFrequency": "-1s"}, "nodeStatusUpdateFrequency: -1s must be longer than 0s"),
        ({"resolvConf": "/gone"}, "resolvConf: file /gone does not exist"),
        ({"allowedUnsafeSysctls": ["kernel.pid_max"]}, "allowedUnsafeSysctls: "),
        ({"shutdownGracePeriod": "100ms"}, "shutdownGracePeriod: 100ms must be 0s, or at least 1s"),
        (
            {"shutdownGracePeriodByPodPriority": [{"priority": 1}, {"priority": 1}]},
            "shutdownGracePeriodByPodPriority[1].priority: 1 is there already",
        ),
        ({"staticPodPath": "here"}, "staticPodPath: here is not an absolute path"),
        ({"staticPodURL": "here"}, "staticPodURL: here is not a URL such as https://192.0.2.1/pods.yaml"),
        ({"staticPodURLHeader": {"a b": ["c"]}}, "staticPodURLHeader[a b]: it is not the name of a header"),
        ({"staticPodURLHeader": {"a": ["b\nc"]}}, "staticPodURLHeader[a][0]: a value must be one line"),
        ({"fileCheckFrequency": "-1s"}, "fileCheckFrequency: -1s must be longer than 0s"),
        ({"kubeReserved": {"cpu": "x"}}, "kubeReserved.cpu: x is not a quantity such as 100m or 1Gi"),
        ({"kubeReserved": {"memory": "-1"}}, "kubeReserved.memory: -1 is negative"),
        ({"kubeReserved": {"gpu": "1"}}, "kubeReserved.gpu: it cannot be reserved, only cpu, memory, ephemeral-storage, pid: remove it"),
        ({"reservedSystemCPUs": "1-"}, "reservedSystemCPUs: 1- is not a list of cores such as 0-3,8"),
        ({"reservedSystemCPUs": "0-4000"}, "reservedSystemCPUs: 0-4000 has cores that the machine lacks: it has 0"),
        ({"reservedSystemCPUs": "0", "kubeReservedCgroup": "/k"}, "reservedSystemCPUs: it cannot stand beside systemReservedCgroup or"),
        ({"enforceNodeAllocatable": ["all"]}, 'enforceNodeAllocatable[0]: "all" is not one of pods, system-reserved, '),
        ({"enforceNodeAllocatable": ["pods", "pods"]}, 'enforceNodeAllocatable[1]: "pods" is there already'),
        ({"enforceNodeAllocatable": ["pods", "none"]}, 'enforceNodeAllocatable[1]: "none" cannot stand beside others'),
        ({"enforceNodeAllocatable": ["kube-reserved"]}, 'enforceNodeAllocatable[0]: "kube-reserved" needs kubeReservedCgroup'),
        ({"evictionHard": {"disk": "1"}}, "evictionHard[disk]: there is no such eviction signal, only memory.available, "),
        ({"evictionHard": {"containerfs.available": "1"}}, "evictionHard[containerfs.available]: it is that of nodefs or imagefs, "),
        ({"evictionHard": {"nodefs.available": "101%"}}, "evictionHard[nodefs.available]: 101% must be from 0% to 100%"),
        ({"evictionHard": {"nodefs.available": "0"}}, "evictionHard[nodefs.available]: 0 must be positive"),
        ({"evictionHard": {"nodefs.available": "x%"}}, "evictionHard[nodefs.available]: x% is not a percentage such as 10%"),
        ({"evictionSoft": {"nodefs.available": "5%"}}, "evictionSoft[nodefs.available]: it needs a grace period in "),
        ({"evictionSoftGracePeriod": {"nodefs.available": "-1s"}}, "evictionSoftGracePeriod[nodefs.available]: -1s must not be negative"),
        ({"evictionMinimumReclaim": {"nodefs.available": "0%"}}, "evictionMinimumReclaim[nodefs.available]: 0% must be more than 0%"),
        ({"evictionMaxPodGracePeriod": -1}, "evictionMaxPodGracePeriod: -1 is not in the range: it must be at least 0"),
        ({"registerWithTaints": [{"key": "a", "effect": "No"}]}, 'registerWithTaints[0].effect: "No" is not one of NoSchedule'),
        ({"registerWithTaints": [{"effect": "NoExecute"}]}, "registerWithTaints[0].key: it must not be empty"),
        ({"cpuManagerPolicy": "dynamic"}, 'cpuManagerPolicy: "dynamic" is not one of none, static'),
        ({"cpuManagerPolicy": "static"}, "cpuManagerPolicy: static needs CPUs that are reserved"),
        ({"cpuManagerPolicyOptions": {"full-pcpus-only": "true"}}, "cpuManagerPolicyOptions: they need cpuManagerPolicy: static"),
        ({**STATIC, "cpuManagerPolicyOptions": {"fast": "true"}}, 'cpuManagerPolicyOptions: unknown CPU Manager Policy option: "fast"'),
        (
            {**STATIC, "cpuManagerPolicyOptions": {"align-by-socket": "yes"}},
            """cpuManagerPolicyOptions: bad value for option "align-by-socket": 'yes' is neither true nor""",
        ),
        (
            {**STATIC, "cpuManagerPolicyOptions": {"full-pcpus-only": "true", "distribute-cpus-across-cores": "1"}},
            "cpuManagerPolicyOptions: static policy options full-pcpus-only and distribute-cpus-across-cores can not be used",
        ),
        ({"memoryManagerPolicy": "Static"}, "memoryManagerPolicy: Static needs memory that is reserved on NUMA nodes"),
        ({"memoryManagerPolicy": "BestEffort"}, 'memoryManagerPolicy: "BestEffort" is not one of None, Static'),
        ({"reservedMemory": [{"limits": {"memory": "0"}}]}, "reservedMemory[0].limits.memory: 0 is not a size above zero"),
        ({"reservedMemory": [{"limits": {"cpu": "1"}}]}, "reservedMemory[0].limits.cpu: it is neither memory nor huge pages"),
        (
            {"reservedMemory": [{"limits": {"memory": "1Gi"}}, {"limits": {"memory": "2Gi"}}]},
            "reservedMemory[1].limits.memory: it is there for NUMA node 0 already",
        ),
        ({"topologyManagerScope": "node"}, 'topologyManagerScope: "node" is not one of container, pod'),
        ({"topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": "true"}}, "topologyManagerPolicyOptions: they need a"),
        (
            {**STATIC, "topologyManagerPolicy": "single-numa-node", "cpuManagerPolicyOptions": {"align-by-socket": "true"}},
            "cpuManagerPolicyOptions: align-by-socket cannot stand beside topologyManagerPolicy: single-numa-node",
        ),
        ({"cgroupDriver": "systemd"}, "cgroupDriver: Tiphys supports only cgroupfs here"),
        ({"authentication": {"anonymous": {"enabled": True}}}, "authentication.anonymous.enabled: Tiphys supports only false here"),
        (
            {"imagePullCredentialsVerificationPolicy": "Sometimes"},
            'imagePullCredentialsVerificationPolicy: "Sometimes" is not one of Never',
        ),
        (
            {"preloadedImagesVerificationAllowlist": ["a/*", "a/*/b"]},
            "preloadedImagesVerificationAllowlist[1]: a/*/b: only a pattern that ends with /* is allowed",
        ),
        (
            {"crashLoopBackOff": {"maxContainerRestartPeriod": "6m"}},
            "crashLoopBackOff.maxContainerRestartPeriod: 6m is not in the range: it must be at least 1s and at most 5m0s",
        ),
        ({"memorySwap": {"swapBehavior": "UnlimitedSwap"}}, 'memorySwap.swapBehavior: "UnlimitedSwap" is not one of NoSwap, LimitedSwap'),
        ({"memoryThrottlingFactor": 2.0}, "memoryThrottlingFactor: 2.0 must be greater than 0 and at most 1"),
        ({"featureGates": {"A": True}}, "featureGates: Tiphys does not support this field: remove it"),
    ],
)
def test_other_values_are_refused_in_words(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, document)
    assert str(caught.value).startswith(f"{tmp_path / 'kubelet.yaml'}: KubeletConfiguration: {message}")


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    wrong = {"evictionHard": {"disk": "1", "nodefs.available": "-1"}, "evictionSoft": {"pid.available": "5%"}, "kubeReserved": {"cpu": "x"}}
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, wrong)
    for place in ("evictionHard[disk]", "evictionHard[nodefs.available]", "evictionSoft[pid.available]", "kubeReserved.cpu"):
        assert f"{place}: " in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"imageGCLowThresholdPercent": 85}, "imageGCLowThresholdPercent (85) must be less than imageGCHighThresholdPercent (85)"),
        ({"imageMaximumGCAge": "1m"}, "imageMaximumGCAge (60s) must be longer than imageMinimumGCAge (2m)"),
    ],
)
def test_thresholds_fit_together(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        read(tmp_path, document).check()


def test_times_of_shutdowns_by_priority(tmp_path: Path) -> None:
    listed = [{"priority": 0, "shutdownGracePeriodSeconds": 20}, {"priority": 1000, "shutdownGracePeriodSeconds": 10}]
    settings = read(tmp_path, {"shutdownGracePeriodByPodPriority": listed})
    assert settings.kubelet.shutdown_grace_by_priority == ((0, 20), (1000, 10))
    assert settings.kubelet.faults() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shutdown_grace": 10.0, "shutdown_grace_critical": 20.0},
            "shutdownGracePeriodCriticalPods (20s) must not be longer than shutdownGracePeriod (10s), which it is a part of",
        ),
        (
            {"shutdown_grace": 10.0, "shutdown_grace_by_priority": ((0, 1),)},
            "shutdownGracePeriodByPodPriority and shutdownGracePeriod exclude each other: set one of them",
        ),
    ],
)
def test_times_of_shutdowns_that_exclude_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ClusterSettings(data_dir="/d", kubelet=KubeletOptions(**options)).check()
    assert str(caught.value) == message


def test_shows_the_thresholds_that_hold_without_a_choice() -> None:
    shown = configuration(NodeSettings(name="n1", root=Path("/n1")))["kubeletconfig"]
    assert shown["evictionHard"]["memory.available"] == "100Mi"
