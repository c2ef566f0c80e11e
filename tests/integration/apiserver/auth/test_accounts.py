"""Service accounts, their tokens, what others need to check them, and who may do what."""

from __future__ import annotations

import json

import jwt

from tests.integration.apiserver.api import NS, STRATEGIC, Api

ACCOUNTS = f"{NS}/serviceaccounts"
AUTHENTICATION, AUTHORIZATION = "/apis/authentication.k8s.io/v1", "/apis/authorization.k8s.io/v1"


async def _token(api: Api, *audiences: str) -> str:
    made = await api.post(f"{ACCOUNTS}/default/token", {"spec": {"audiences": list(audiences), "expirationSeconds": 700}})
    assert made.status == 201, made.body
    return str(made.doc["status"]["token"])


async def test_the_life_of_an_account(api: Api) -> None:
    made = await api.post(ACCOUNTS, {"metadata": {"name": "robot", "labels": {"kind": "robot"}}})
    assert made.status == 201
    patched = await api.patch(f"{ACCOUNTS}/robot", {"automountServiceAccountToken": False}, STRATEGIC)
    assert patched.doc["automountServiceAccountToken"] is False
    changed = {**patched.doc, "imagePullSecrets": [{"name": "registry"}], "automountServiceAccountToken": True}
    updated = await api.put(f"{ACCOUNTS}/robot", changed)
    assert (updated.status, updated.doc["automountServiceAccountToken"]) == (200, True)
    assert updated.doc["imagePullSecrets"] == [{"name": "registry"}]
    assert (await api.get("/api/v1/serviceaccounts?labelSelector=kind=robot")).names == ["robot"]
    async with api.watch(f"{ACCOUNTS}?watch=1&labelSelector=kind=robot&resourceVersion={updated.version}") as events:
        assert (await api.delete(f"{ACCOUNTS}?labelSelector=kind=robot")).status == 200
        assert await events.take(1) == [("DELETED", "robot")]
    assert (await api.get(f"{ACCOUNTS}/robot")).reason == "NotFound"


async def test_a_token_is_reviewed(api: Api) -> None:
    token = await _token(api)
    review = (await api.post(f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": token}})).doc["status"]
    assert (review["authenticated"], review["user"]["username"]) == (True, "system:serviceaccount:default:default")
    assert {"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"} <= set(review["user"]["groups"])
    refused = (await api.post(f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": token, "audiences": ["elsewhere"]}})).doc["status"]
    assert refused.get("authenticated", False) is False


async def test_anybody_can_check_a_token_with_what_the_issuer_publishes(api: Api) -> None:
    reader = api.acting_as("system:serviceaccount:default:default", "system:serviceaccounts", "system:authenticated")
    about = await reader.get("/.well-known/openid-configuration")
    assert (about.status, about.headers["Content-Type"]) == (200, "application/json")
    assert {"issuer", "jwks_uri", "response_types_supported", "subject_types_supported"} <= set(about.doc)
    keys = await reader.get("/openid/v1/jwks")
    assert keys.headers["Content-Type"] == "application/jwk-set+json"
    token = await _token(api, "vault")
    wanted = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWK(next(key for key in json.loads(keys.body)["keys"] if key["kid"] == wanted))
    claims = jwt.decode(token, key, algorithms=["RS256", "ES256"], audience="vault", issuer=about.doc["issuer"])
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert (await api.acting_as("").get("/openid/v1/jwks")).reason in ("Forbidden", "Unauthorized")


async def test_questions_about_rights(api: Api) -> None:
    await api.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {
        "metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    })  # fmt: skip
    await api.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
        "metadata": {"name": "reader"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}],
    })  # fmt: skip

    async def allowed(who: Api, path: str, verb: str, **spec: str) -> bool:
        attributes = {"verb": verb, "resource": "pods", "namespace": "default"}
        answer = await who.post(path, {"metadata": {"namespace": "default"} if "/namespaces/" in path else {}, "spec": {
            "resourceAttributes": attributes, **spec}})  # fmt: skip
        assert answer.status == 201, answer.body
        return bool(answer.doc["status"]["allowed"])

    ann = api.acting_as("ann", "system:authenticated")
    for verb, expected in (("list", True), ("delete", False)):
        assert await allowed(ann, f"{AUTHORIZATION}/selfsubjectaccessreviews", verb) is expected
        assert await allowed(api, f"{AUTHORIZATION}/subjectaccessreviews", verb, user="ann") is expected
        assert await allowed(api, f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews", verb, user="ann") is expected
    assert (await ann.post(f"{AUTHORIZATION}/subjectaccessreviews", {"spec": {"user": "bob"}})).reason == "Forbidden"
