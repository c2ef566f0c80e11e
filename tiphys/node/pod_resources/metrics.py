"""Metrics of the PodResources API ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.obs import metrics

REQUESTS = metrics.counter("kubelet_pod_resources_endpoint_requests_total", "Requests to the PodResources API.", "server_api_version")
BY_VERB = {
    "List": metrics.counter("kubelet_pod_resources_endpoint_requests_list", "Requests for all pods.", "server_api_version"),
    "Get": metrics.counter("kubelet_pod_resources_endpoint_requests_get", "Requests for one pod.", "server_api_version"),
    "GetAllocatableResources": metrics.counter(
        "kubelet_pod_resources_endpoint_requests_get_allocatable", "Requests for what pods may own.", "server_api_version"
    ),
}
ERRORS = {
    "List": metrics.counter("kubelet_pod_resources_endpoint_errors_list", "Failed requests for all pods.", "server_api_version"),
    "Get": metrics.counter("kubelet_pod_resources_endpoint_errors_get", "Failed requests for one pod.", "server_api_version"),
    "GetAllocatableResources": metrics.counter(
        "kubelet_pod_resources_endpoint_errors_get_allocatable", "Failed requests for what pods may own.", "server_api_version"
    ),
}
