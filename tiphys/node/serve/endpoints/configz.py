"""/configz: the configuration in force, as a `KubeletConfiguration` ("Kubelet Configuration (v1beta1)"). Pure.

Only fields that mean something here are shown, with the values that this kubelet goes by: where upstream has a choice that it has not, the
field shows what it does.
"""

from __future__ import annotations

from typing import Any

from tiphys.node.container.log_rotation import PERIOD as LOG_PERIOD
from tiphys.node.host import machine
from tiphys.node.pod import backoff
from tiphys.node.serve.endpoints.callers import ALLOWED_SECONDS, DENIED_SECONDS, TOKEN_SECONDS
from tiphys.node.serve.streaming.serve import IDLE_TIMEOUT
from tiphys.node.settings import NodeSettings
from tiphys.settings.duration import go_duration


def configuration(settings: NodeSettings) -> dict[str, Any]:
    """The page's document."""
    shown = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1"}
    return {"kubeletconfig": {**shown, **_server(settings), **_access(settings), **_node(settings), **_pods(settings), **_logs(settings)}}


def _server(settings: NodeSettings) -> dict[str, Any]:
    return {
        "enableServer": settings.tls_cert is not None,
        "address": settings.bind,
        "port": settings.port,
        "tlsCertFile": str(settings.tls_cert or ""),
        "tlsPrivateKeyFile": str(settings.tls_key or ""),
        "tlsMinVersion": "VersionTLS12",
        "healthzPort": settings.healthz_port or 0,
        "healthzBindAddress": settings.healthz_bind,
        "streamingConnectionIdleTimeout": go_duration(IDLE_TIMEOUT),
        "enableDebuggingHandlers": True,
        "enableProfilingHandler": False,
        "enableDebugFlagsHandler": False,
        "enableSystemLogHandler": True,
        "enableSystemLogQuery": False,
        "containerRuntimeEndpoint": f"unix://{settings.containerd_socket}" if settings.containerd_socket else "",
    }


def _access(settings: NodeSettings) -> dict[str, Any]:
    return {
        "authentication": {
            "x509": {"clientCAFile": str(settings.client_ca or "")},
            "webhook": {"enabled": True, "cacheTTL": go_duration(TOKEN_SECONDS)},
            "anonymous": {"enabled": False},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": go_duration(ALLOWED_SECONDS), "cacheUnauthorizedTTL": go_duration(DENIED_SECONDS)},
        },
    }


def _node(settings: NodeSettings) -> dict[str, Any]:
    return {
        "registerNode": True,
        "registerWithTaints": [_taint(text) for text in settings.taints],
        "nodeStatusUpdateFrequency": go_duration(settings.status_period),
        "nodeStatusReportFrequency": go_duration(settings.status_report),
        "nodeLeaseDurationSeconds": settings.lease_seconds,
        "maxPods": settings.max_pods,
        "kubeReserved": {"cpu": f"{settings.reserved_milli_cpu}m", "memory": str(settings.reserved_memory)},
        "evictionHard": {
            "memory.available": f"{machine.EVICTION_MEMORY >> 20}Mi",
            "nodefs.available": f"{machine.EVICTION_DISK_SHARE:.0%}",
            "nodefs.inodesFree": f"{machine.EVICTION_INODES_SHARE:.0%}",
        },
        "localStorageCapacityIsolation": True,
        "failSwapOn": False,
        "failCgroupV1": False,
        "shutdownGracePeriod": "0s",
        "shutdownGracePeriodCriticalPods": "0s",
    }


def _taint(text: str) -> dict[str, str]:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, **({"value": value} if value else {}), "effect": effect}


def _pods(settings: NodeSettings) -> dict[str, Any]:
    return {
        "clusterDomain": settings.domain,
        "clusterDNS": list(settings.cluster_dns),
        "resolvConf": str(settings.resolv_conf),
        "cgroupsPerQOS": True,
        "cgroupDriver": "cgroupfs",
        "cpuManagerPolicy": "none",
        "memoryManagerPolicy": "None",
        "topologyManagerPolicy": "none",
        "cpuCFSQuota": True,
        "cpuCFSQuotaPeriod": "100ms",
        "podPidsLimit": settings.pod_max_pids,
        "allowedUnsafeSysctls": list(settings.allowed_unsafe_sysctls),
        "seccompDefault": False,
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "crashLoopBackOff": {"maxContainerRestartPeriod": go_duration(backoff.MAX_BACKOFF)},
    }


def _logs(settings: NodeSettings) -> dict[str, Any]:
    return {
        "podLogsDir": str(settings.logs),
        "containerLogMaxSize": str(settings.log_max_bytes),
        "containerLogMaxFiles": settings.log_max_files,
        "containerLogMonitorInterval": go_duration(LOG_PERIOD),
    }
