"""Version, metrics and the index."""

from __future__ import annotations

from tests.integration.apiserver.api import NS, Api


async def test_version_and_index(api: Api) -> None:
    version = (await api.get("/version")).doc
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")
    paths = (await api.get("/")).doc["paths"]
    assert {"/api/v1", "/apis/apps/v1", "/healthz", "/openapi/v3", "/version"} <= set(paths)
    guest = api.acting_as("guest")
    assert (await guest.get("/livez")).status == 200
    assert (await guest.get("/metrics")).reason == "Forbidden"


async def test_metrics_count_requests_objects_and_watches(api: Api) -> None:
    await api.post(f"{NS}/secrets", {"metadata": {"name": "a"}})
    await api.post(f"{NS}/secrets", {"metadata": {"name": "a"}})
    async with api.watch(f"{NS}/secrets?watch=1"):
        page = (await api.get("/metrics")).body.decode().splitlines()
    series = 'verb="POST",group="",version="v1",resource="secrets",subresource="",scope="resource",component="apiserver"'
    assert f'apiserver_request_total{{{series},dry_run="",code="201"}} 1' in page
    assert f'apiserver_request_total{{{series},dry_run="",code="409"}} 1' in page
    assert f'apiserver_request_duration_seconds_count{{{series},dry_run=""}} 2' in page
    assert 'apiserver_storage_objects{resource="secrets"} 1' in page
    assert 'apiserver_registered_watchers{resource="secrets"} 1' in page
