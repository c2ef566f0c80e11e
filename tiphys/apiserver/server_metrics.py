"""Families of one API server beside those of requests: authentication, authorization, storage, watches and the version."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import cast

import msgspec

from tiphys.apiserver import discovery
from tiphys.apiserver.auth.authenticate import CertificateAuthenticator
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.obs import metrics
from tiphys.obs.metrics import Registry, Samples

KNOWN_USERS = ("admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default")
LIFETIMES = (0, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 345600, 604800, 2592000, 7776000, 15552000, 31104000)
POWERS_OF_TWO = metrics.exponential(0.001, 2, 15)


class AccessMetrics:
    """Attempts to authenticate and to authorize.

    Only the few users that upstream counts by name have a series of their own, so that clients cannot invent series.
    """

    def __init__(self, registry: Registry) -> None:
        seconds = registry.histogram(
            "authentication_duration_seconds", "Time to authenticate, in seconds, by result.", "result", buckets=POWERS_OF_TWO
        )
        registry.collected(
            "authentication_attempts", "counter", "Attempts to authenticate, by result.", "result",
            read=lambda: [(("success",), sum(self._success.counts)), (("failure",), sum(self._failure.counts))],
        )  # fmt: skip
        users = registry.counter("authenticated_user_requests", "Authenticated requests, by user.", "username")
        decisions = registry.counter("authorization_attempts_total", "Decisions on requests, by result.", "result")
        self._other = users.labels("other")
        self._users = {name: users.labels(name) for name in KNOWN_USERS}
        self._success, self._failure = seconds.labels("success"), seconds.labels("failure")
        self.allowed, self.denied = decisions.labels("allowed"), decisions.labels("denied")

    def recognized(self, user: str) -> None:
        """Count a request of a connection whose sender is known: that takes less time than a look at the clock, and counts as none."""
        self._success.counts[0] += 1
        self._users.get(user, self._other).value += 1.0

    def authenticated(self, user: str, seconds: float) -> None:
        """Count a request whose credentials were checked."""
        self._success.observe(seconds)
        self._users.get(user, self._other).value += 1.0

    def refused(self, seconds: float) -> None:
        """Count a request whose credentials are bad."""
        self._failure.observe(seconds)


class CertificateLifetimes:
    """Remaining lifetimes of the client certificates of requests: they tell in time of those that nobody renews."""

    def __init__(self, registry: Registry, now: Callable[[], datetime]) -> None:
        self._now = now
        self._seconds = metrics.Histogram(LIFETIMES)
        self.authenticator = CertificateAuthenticator(self._observe)
        registry.computed(self._lines)

    def _observe(self, expires: float, requests: int) -> None:
        left = expires - self._now().timestamp()
        self._seconds.counts[bisect_left(LIFETIMES, left)] += requests
        self._seconds.sum += left * requests

    def _lines(self) -> Iterator[str]:
        self.authenticator.flush()
        name, seconds = "apiserver_client_certificate_expiration_seconds", self._seconds
        yield metrics.head(name, "histogram", "Seconds for which the certificate of a request is good.", "ALPHA")
        yield from metrics.histogram_lines(name, "", seconds.bounds, seconds.counts, seconds.sum)


def declare(registry: Registry, storage: Storage, fairness: Fairness) -> None:
    """Declare the families that a scrape reads from the server's parts."""
    registry.collected(
        "apiserver_storage_objects", "gauge", "Objects stored, by resource.", "resource", stability="STABLE",
        read=lambda: [((cache.kind.resource,), len(cache)) for cache in storage.caches()],
    )  # fmt: skip
    registry.collected(
        "apiserver_resource_objects", "gauge", "Objects stored, by group and resource.", "group", "resource",
        read=lambda: [((cache.kind.group, cache.kind.plural), len(cache)) for cache in storage.caches()],
    )  # fmt: skip
    registry.collected(
        "apiserver_registered_watchers", "gauge", "Watches that are served, by resource.", "resource", stability="",
        read=lambda: [((cache.kind.resource,), cache.watching) for cache in storage.caches()],
    )  # fmt: skip
    for name, about, stability in (
        ("apiserver_storage_events_received_total", "Number of changes received from the store.", "BETA"),
        ("apiserver_watch_cache_events_received_total", "Changes that reached the watch cache.", "ALPHA"),
    ):
        registry.collected(
            name, "counter", about, "group", "resource", stability=cast(metrics.Stability, stability),
            read=lambda: [((cache.kind.group, cache.kind.plural), cache.received) for cache in storage.caches()],
        )  # fmt: skip
    registry.collected(
        "apiserver_watch_cache_resource_version", "gauge", "Revision that the watch cache has reached.", "group", "resource",
        read=lambda: [((cache.kind.group, cache.kind.plural), storage.revision) for cache in storage.caches()],
    )  # fmt: skip
    registry.collected(
        "apiserver_storage_size_bytes", "gauge", "Size of the store's file, in bytes.", "storage_cluster_id", stability="STABLE",
        read=lambda: _size(storage),
    )  # fmt: skip
    registry.collected(
        "apiserver_current_inflight_requests", "gauge", "Requests that are executed, by kind.", "request_kind", stability="STABLE",
        read=lambda: _inflight(fairness),
    )  # fmt: skip
    registry.collected(
        "kubernetes_build_info", "gauge", "The version that runs.", "build_date", "compiler", "git_commit", "git_tree_state",
        "git_version", "go_version", "major", "minor", "platform", stability="BETA", read=build_info,
    )  # fmt: skip


def build_info() -> Samples:
    """The one sample of `kubernetes_build_info`, which has what `/version` has."""
    version = msgspec.json.decode(discovery.version(), type=dict[str, str])
    names = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major", "minor", "platform")
    return [(tuple(version[name] for name in names), 1)]


def _size(storage: Storage) -> Samples:
    path = getattr(storage.store, "path", "")
    return [((os.path.basename(path),), os.path.getsize(path))] if path else []


def _inflight(fairness: Fairness) -> Samples:
    executing = sum(lane.executing for lane in fairness.lanes())
    return [(("mutating",), fairness.writing), (("readOnly",), executing - fairness.writing)]
