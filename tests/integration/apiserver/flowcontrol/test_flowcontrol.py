"""Priority and fairness as clients see it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.apiserver.api import NS, Answer, Api, Doc
from tests.integration.apiserver.operations import is_discovered, supports_all_verbs
from tiphys.testing.eventually import eventually

GROUP = "flowcontrol.apiserver.k8s.io"
SCHEMAS, LEVELS = f"/apis/{GROUP}/v1/flowschemas", f"/apis/{GROUP}/v1/prioritylevelconfigurations"
SCHEMA_UID, LEVEL_UID = "X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID"
DUMPS = "/debug/api_priority_and_fairness"


def schema(user: str, level: str = "global-default", **spec: Any) -> Doc:
    rules = [{"subjects": [{"kind": "User", "user": {"name": user}}], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]
    spec = {"matchingPrecedence": 1000, "distinguisherMethod": {"type": "ByUser"}, "rules": rules, **spec}
    return {"spec": {"priorityLevelConfiguration": {"name": level}, **spec}}


def level(**limited: Any) -> Doc:
    return {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}, **limited}}}


def named(name: str, doc: Doc) -> Doc:
    return {"metadata": {"name": name}, **doc}


async def uid(api: Api, path: str) -> str:
    return str((await api.get(path)).doc["metadata"]["uid"])


async def test_flow_schema_operations(api: Api) -> None:
    """[sig-api-machinery] API priority and fairness should support FlowSchema API operations"""
    await is_discovered(api, GROUP, "v1", "flowschemas", "flowschemas/status")
    await supports_all_verbs(api, SCHEMAS, schema("nobody"), {"spec": {"matchingPrecedence": 9999}}, status=False)


async def test_priority_level_operations(api: Api) -> None:
    """[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations"""
    await is_discovered(api, GROUP, "v1", "prioritylevelconfigurations", "prioritylevelconfigurations/status")
    change = {"spec": {"limited": {"nominalConcurrencyShares": 4}}}
    await supports_all_verbs(api, LEVELS, level(nominalConcurrencyShares=2), change, status=True)


async def test_status_of_flow_schemas(api: Api) -> None:
    await api.post(SCHEMAS, named("mine", schema("alice", "none-such")))

    async def condition() -> Doc:
        found: list[Doc] = (await api.get(f"{SCHEMAS}/mine/status")).doc["status"].get("conditions", [{}])
        return found[0]

    said = 'This FlowSchema references the PriorityLevelConfiguration object named "none-such"'
    await eventually(lambda: _is(condition(), status="True", reason="NotFound", message=f"{said} but there is no such object"))
    await api.post(LEVELS, named("none-such", level()))
    await eventually(lambda: _is(condition(), status="False", reason="Found", message=f"{said} and it exists"))
    patched = await api.patch(f"{SCHEMAS}/mine/status", {"status": {"conditions": [{"type": "Mine", "status": "False"}]}})
    assert [found["type"] for found in patched.doc["status"]["conditions"]] == ["Mine"]
    await api.delete(f"{LEVELS}/none-such")
    await eventually(lambda: _is_dangling(api))


async def _is(condition: Any, **wanted: str) -> bool:
    found = await condition
    return all(found.get(key) == value for key, value in wanted.items())


async def _is_dangling(api: Api) -> bool:
    conditions = (await api.get(f"{SCHEMAS}/mine")).doc["status"]["conditions"]
    return {(found["type"], found["status"]) for found in conditions} == {("Mine", "False"), ("Dangling", "True")}


async def test_requests_are_classified_by_new_objects(api: Api) -> None:
    """[sig-api-machinery] API priority and fairness should ensure that requests can be classified by adding FlowSchema and
    PriorityLevelConfiguration"""
    noxu, other = api.acting_as("noxu"), api.acting_as("foo")
    before = await noxu.get("/version")
    assert before.headers[SCHEMA_UID] == await uid(api, f"{SCHEMAS}/global-default")
    made_level = await api.post(LEVELS, named("mine", level(nominalConcurrencyShares=1)))
    made = await api.post(SCHEMAS, named("mine", schema("noxu", "mine")))
    answer = await noxu.get("/version")
    assert answer.headers[SCHEMA_UID] == made.doc["metadata"]["uid"]
    assert answer.headers[LEVEL_UID] == made_level.doc["metadata"]["uid"]
    answer = await other.get("/version")
    assert answer.headers[SCHEMA_UID] == before.headers[SCHEMA_UID]
    await api.delete(f"{SCHEMAS}/mine")
    assert (await noxu.get("/version")).headers[SCHEMA_UID] == before.headers[SCHEMA_UID]


async def test_every_answer_says_how_it_was_classified(api: Api) -> None:
    answers = [
        await api.get(f"{NS}/pods"),
        await api.get(f"{NS}/pods/none"),
        await api.post(f"{NS}/configmaps", {"metadata": {"name": "Not A Name"}}),
        await api.acting_as("alice").get(f"{NS}/pods"),
        await api.get("/apis"),
        await api.get("/healthz"),
    ]
    assert [answer.status for answer in answers] == [200, 404, 422, 403, 200, 200]
    for answer in answers:
        assert answer.headers[SCHEMA_UID]
        assert answer.headers[LEVEL_UID]
    watch = await api.respond("GET", f"{NS}/pods?watch=true")
    assert watch.headers[SCHEMA_UID]
    assert watch.stream is not None
    await watch.stream.aclose()  # type: ignore[attr-defined]


async def test_mandatory_objects_come_back(api: Api) -> None:
    before = await uid(api, f"{SCHEMAS}/catch-all")
    assert (await api.delete(f"{SCHEMAS}/catch-all")).status == 200
    await eventually(lambda: _exists(api, f"{SCHEMAS}/catch-all"))
    assert await uid(api, f"{SCHEMAS}/catch-all") != before
    refused = await api.patch(f"{LEVELS}/catch-all", {"spec": {"limited": {"nominalConcurrencyShares": 1}}})
    assert (refused.status, refused.reason) == (422, "Invalid")
    await api.patch(f"{SCHEMAS}/exempt", {"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}}})
    await eventually(lambda: _annotated(api, f"{SCHEMAS}/exempt", "true"))


async def _exists(api: Api, path: str) -> bool:
    return (await api.get(path)).status == 200


async def _annotated(api: Api, path: str, value: str) -> bool:
    annotations = (await api.get(path)).doc["metadata"]["annotations"]
    return bool(annotations["apf.kubernetes.io/autoupdate-spec"] == value)


async def test_a_level_without_queues_refuses_what_has_no_seat(api: Api) -> None:
    await api.post(LEVELS, named("mine", level(nominalConcurrencyShares=1, borrowingLimitPercent=0)))
    rules = [
        {
            "subjects": [{"kind": "User", "user": {"name": "alice"}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}],
        }
    ]
    await api.post(SCHEMAS, named("mine", schema("alice", "mine", rules=rules)))
    alice = api.acting_as("alice", "system:masters")
    await api.patch(f"{SCHEMAS}/mine", {"spec": {"matchingPrecedence": 2}})
    # The exempt schema comes first for masters: alice is one, so she is never refused.
    assert (await alice.get(f"{NS}/pods")).headers[LEVEL_UID] == await uid(api, f"{LEVELS}/exempt")
    role = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}
    await api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {"metadata": {"name": "alice"}, "subjects": [subject], **role})
    alice = api.acting_as("alice")
    seats = api.server.app.fairness
    nominal = next(found.nominal for found in seats.levels() if found.name == "mine")
    bodies = [{"metadata": {"name": f"c{number}"}} for number in range(nominal + 3)]
    answers: list[Answer] = await asyncio.gather(*(alice.post(f"{NS}/configmaps", body) for body in bodies))
    assert [answer.status for answer in answers].count(201) == nominal
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 3
    for answer in refused:
        assert answer.reason == "TooManyRequests"
        assert answer.message == "Too many requests, please try again later."
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers[LEVEL_UID]
    metrics = (await api.get("/metrics")).body.decode()
    labels = '{priority_level="mine",flow_schema="mine"'
    assert f'apiserver_flowcontrol_rejected_requests_total{labels},reason="concurrency-limit"}} 3' in metrics
    assert f"apiserver_flowcontrol_dispatched_requests_total{labels}}} {nominal}" in metrics
    assert f"apiserver_flowcontrol_current_executing_requests{labels}}} 0" in metrics
    assert f'apiserver_flowcontrol_nominal_limit_seats{{priority_level="mine"}} {nominal}' in metrics


async def test_watches_give_their_seats_back_once_they_have_begun(api: Api) -> None:
    level_ = next(found for found in api.server.app.fairness.levels() if found.name == "exempt")
    async with api.watch(f"{NS}/pods?watch=true"):
        await eventually(lambda: (level_.in_use, level_.executing) == (0, 0))


async def test_dumps(api: Api) -> None:
    levels = (await api.get(f"{DUMPS}/dump_priority_levels")).body.decode().splitlines()
    assert levels[0].split(",")[0] == "PriorityLevelName"
    rows = {row.split(",")[0]: [cell.strip() for cell in row.split(",")] for row in levels[1:]}
    assert set(rows) == {"catch-all", "exempt", "global-default", "leader-election", "node-high", "system", "workload-high", "workload-low"}
    assert rows["system"][1:6] == ["0", "true", "false", "0", "0"]
    assert (await api.get(f"{DUMPS}/dump_queues")).body.startswith(b"PriorityLevelName, Index,")
    assert b"UserName" in (await api.get(f"{DUMPS}/dump_requests?includeRequestDetails=1")).body
    assert (await api.get(f"{DUMPS}/dump_moods")).status == 404
    assert (await api.acting_as("alice").get(f"{DUMPS}/dump_requests")).status == 403


async def test_tables(api: Api) -> None:
    table = await api.get(SCHEMAS, accept="application/json;as=Table;g=meta.k8s.io;v=v1")
    assert [column["name"] for column in table.doc["columnDefinitions"]] == [
        "Name", "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL",
    ]  # fmt: skip


async def test_a_quiet_client_is_answered_while_another_one_floods(api: Api) -> None:
    flood, quiet = api.acting_as("flood"), api.acting_as("quiet")
    order: list[str] = []

    async def ask(client: Api, name: str) -> None:
        answer = await client.get("/version")
        assert answer.status in (200, 429)
        order.append(name if answer.status == 200 else "refused")

    tasks = [asyncio.create_task(ask(flood, "flood")) for _ in range(3000)]
    tasks.append(asyncio.create_task(ask(quiet, "quiet")))
    await asyncio.gather(*tasks)
    answered = [name for name in order if name != "refused"]
    assert answered.index("quiet") < len(answered) - 100
    lane = next(lane for lane in api.server.app.fairness.lanes() if lane.schema == "global-default")
    assert sum(lane.waited) > 0
    assert (lane.executing, lane.waiting, lane.seats) == (0, 0, 0)
