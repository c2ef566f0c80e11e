"""Pages of metrics that are made from objects and certificates."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.unit.scheduler.make import pod
from tiphys.apiserver import pod_resources
from tiphys.apiserver.server_metrics import CertificateLifetimes
from tiphys.obs import metrics
from tiphys.obs.metrics import Registry
from tiphys.wire.http import PeerIdentity, Request

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_requests_of_pods_are_in_the_unit_of_each_resource() -> None:
    one, over = pod("web", cpu="250m", memory="1Gi"), pod("done")
    one.spec.priority = 7
    over.spec.nodeName, over.status.phase = "n1", "Succeeded"
    page = metrics.page(pod_resources.lines(lambda: [one, over])).decode()
    samples = {one.labels["resource"]: one for family in parsed(page) for one in family.samples}
    assert {name: sample.value for name, sample in samples.items()} == {"cpu": 0.25, "memory": 1 << 30}
    expected = {"namespace": "default", "pod": "web", "node": "", "priority": "7", "resource": "cpu", "unit": "cores"}
    assert samples["cpu"].labels == expected | {"scheduler": one.spec.schedulerName}


async def test_requests_are_counted_by_what_is_left_of_their_certificates() -> None:
    registry = Registry()
    lifetimes = CertificateLifetimes(registry, lambda: NOW)
    for seconds, requests in ((3000.0, 2), (10_000.0, 1)):
        peer = PeerIdentity(common_name="jane", expires=NOW.timestamp() + seconds)
        for _ in range(requests):
            await lifetimes.authenticator.authenticate(Request("GET", "/", peer=peer))
    await lifetimes.authenticator.authenticate(Request("GET", "/", peer=PeerIdentity(common_name="inside")))
    for _ in range(2):  # A second scrape counts nothing twice.
        page = metrics.page(registry.lines()).decode()
        (family,) = parsed(page)
        buckets = {float(sample.labels["le"]): sample.value for sample in family.samples if "le" in sample.labels}
        assert (buckets[1800], buckets[3600], buckets[21600], buckets[float("inf")]) == (0, 2, 3, 3)
