"""Metrics are upstream's: names, types, labels and buckets of its stable and beta families (tests/data/metrics-1.36.tsv)."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.integration.apiserver.api import CONFIGS, NS, Api, config

SECRETS = f"{NS}/secrets"
FACTS = Path(__file__).parents[2] / "data" / "metrics-1.36.tsv"
SERVED = {
    "apiserver_current_inflight_requests", "apiserver_longrunning_requests", "apiserver_request_duration_seconds",
    "apiserver_request_total", "apiserver_response_sizes", "apiserver_storage_events_received_total", "apiserver_storage_objects",
    "kubernetes_build_info", "registered_metrics_total",
}  # fmt: skip


async def page(api: Api, path: str = "/metrics") -> str:
    return (await api.get(path)).body.decode()


async def test_families_have_upstreams_labels_and_buckets(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    await api.get(CONFIGS)
    async with api.watch(f"{CONFIGS}?watch=1"):
        families = {f"{one.name}_total" if one.type == "counter" else one.name: one for one in parsed(await page(api))}
    assert families.keys() >= SERVED
    for row in FACTS.read_text().splitlines():
        name, type_, _, labels, buckets, _ = row.split("\t")
        family = families.get(name)
        if family is None or not family.samples:
            continue
        assert type_ in (family.type, "custom"), name
        assert {key for sample in family.samples for key in sample.labels} - {"le"} == set(filter(None, labels.split(","))), name
        if buckets:
            bounds = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels} - {float("inf")}
            assert bounds == {float(bound) for bound in buckets.split(",")}, name


async def test_verbs_are_methods_and_watches_count_when_they_end(api: Api) -> None:
    await api.post(SECRETS, {"metadata": {"name": "a"}})
    await api.get(f"{SECRETS}/a")
    await api.get(SECRETS)
    await api.delete(f"{SECRETS}/a?dryRun=All")
    async with api.watch(f"{SECRETS}?watch=1"):
        open_ = await page(api)
        during = _by_verb(open_, "apiserver_longrunning_requests")
        assert "WATCH" not in _by_verb(open_, "apiserver_request_duration_seconds_count")  # None has ended: no empty histograms.
    text = await page(api)
    after = _by_verb(text, "apiserver_request_total")
    assert during["WATCH"] == 1
    assert _by_verb(text, "apiserver_longrunning_requests")["WATCH"] == 0
    assert after == {"POST": 1, "GET": 1, "LIST": 1, "DELETE": 1, "WATCH": 1}
    assert 'verb="DELETE",group="",version="v1",resource="secrets"' in text
    assert 'dry_run="All"' in text


def _by_verb(text: str, name: str) -> dict[str, float]:
    """The values of a family's series of secrets, by verb."""
    samples = [sample for family in parsed(text) for sample in family.samples if sample.name == name]
    return {sample.labels["verb"]: sample.value for sample in samples if sample.labels["resource"] == "secrets"}


async def test_health_checks_are_metrics(api: Api) -> None:
    text = await page(api, "/metrics/slis")
    assert 'kubernetes_healthcheck{name="ping",type="healthz"} 1' in text
    assert 'kubernetes_healthchecks_total{name="ping",type="healthz",status="success"} 1' in text
