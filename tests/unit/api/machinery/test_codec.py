"""Request bodies become objects, or one clear error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.apps import v1 as apps
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery.codec import decode, decode_document, encode
from tiphys.api.machinery.errors import BadRequest, Invalid, UnsupportedMediaType
from tiphys.api.meta import v1 as meta


def pod(**spec: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}).encode()


def test_reads_what_it_writes() -> None:
    body = pod(containers=[{"name": "a", "image": "b", "ports": [{"containerPort": 80}]}])
    first = decode(core.Pod, body).obj
    assert first.spec.containers[0].ports[0].containerPort == 80
    assert decode(core.Pod, encode(first), validation="Strict").obj == first


def test_null_stands_for_the_zero_value() -> None:
    body = (
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"creationTimestamp":null,"labels":null},"spec":{"containers":null,"nodeName":null}}'
    )
    got = decode(core.Pod, body, validation="Strict")
    assert got.obj.spec.containers == []
    assert got.obj.metadata.labels == {}
    assert got.problems == []


def test_null_items_of_lists_and_maps_are_zero_values() -> None:
    got = decode(core.Pod, b'{"metadata":{"labels":{"a":null}},"spec":{"containers":[null,{"command":[null]}]}}').obj
    assert got.metadata.labels == {"a": ""}
    assert [container.command for container in got.spec.containers] == [[], [""]]


def test_numbers_may_stand_for_quantities() -> None:
    got = decode(core.Pod, pod(containers=[{"name": "a", "resources": {"limits": {"cpu": 1, "memory": 0.5}}}]), validation="Strict").obj
    assert got.spec.containers[0].resources.limits == {"cpu": "1", "memory": "0.5"}


def test_missing_kind_and_version_are_filled_in() -> None:
    got = decode(apps.Deployment, b'{"metadata":{"name":"a"},"kind":""}').obj
    assert (got.apiVersion, got.kind) == ("apps/v1", "Deployment")


def test_unknown_fields_are_dropped_or_told() -> None:
    body = pod(containers=[{"name": "a", "imagee": "x", "Image": "y"}], foo=1)
    assert decode(core.Pod, body).problems == []
    warned = decode(core.Pod, body, validation="Warn")
    assert warned.problems == [
        'unknown field "spec.containers[0].imagee"',
        'unknown field "spec.containers[0].Image"',
        'unknown field "spec.foo"',
    ]
    with pytest.raises(BadRequest) as caught:
        decode(core.Pod, body, validation="Strict")
    assert caught.value.message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.containers[0].imagee", '
        'unknown field "spec.containers[0].Image", unknown field "spec.foo"'
    )


def test_repeated_fields_are_told_with_unknown_ones() -> None:
    body = (
        b'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"a":"1","a":"2"}},"spec":{"replicas":1,"replicas":2,"foo":1}}'
    )
    got = decode(apps.Deployment, body, validation="Warn")
    assert got.problems == ['duplicate field "metadata.labels.a"', 'duplicate field "spec.replicas"', 'unknown field "spec.foo"']
    assert got.obj.spec.replicas == 2
    assert decode(apps.Deployment, body).problems == []


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (b'{"foo":1,"replicas":1,"replicas":2}', ["unknown", "duplicate"]),
        (b'{"replicas":1,"replicas":2,"foo":1}', ["duplicate", "unknown"]),
        (b'{"replicas":1,"foo":1,"replicas":2}', ["unknown", "duplicate"]),
    ],
)
def test_problems_are_told_in_the_order_of_the_document(spec: bytes, told: list[str]) -> None:
    got = decode(apps.Deployment, b'{"spec":%s}' % spec, validation="Warn")
    fields = {"unknown": 'unknown field "spec.foo"', "duplicate": 'duplicate field "spec.replicas"'}
    assert got.problems == [fields[what] for what in told]


def test_a_text_that_looks_like_a_key_is_no_repetition() -> None:
    body = json.dumps({"metadata": {"annotations": {"last": '{"a":1,"a":2}', "\u00e9": 'x":'}}}).encode()
    assert decode(core.Pod, body, validation="Strict").obj.metadata.annotations["last"] == '{"a":1,"a":2}'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"metadata":{"name":"a","name":"b"}}', id="in place of fields that are filled in"),
        pytest.param(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","name":"b"},"spec":{}}', id="in place of the status"),
        pytest.param(b'{"metadata":{"namespace" : "a","name":"a","name":"b"}}', id="space before a colon"),
        pytest.param(b'{"metadata":{"labels":{"a":"x\\u003ay"},"name":"a","name":"b"}}', id="colon in disguise"),
        pytest.param(b'{"metadata":{"labels":{"a":"\\u0022:"},"name":"a","name":"b"}}', id="quote in disguise"),
        pytest.param(b'{"metadata":{"labels":{},"name":"a","name":"b"}}', id="in place of a zero value"),
        pytest.param(b'{"metadata":{"name":"a","n\\u0061me":"b"}}', id="key in disguise"),
        pytest.param(b'{"metadata":{"creationTimestamp":"2026-01-01T00:00:00+00:00","name":"a","name":"b"}}', id="time with an offset"),
    ],
)
def test_nothing_else_hides_a_repeated_key(body: bytes) -> None:
    got = decode(core.Pod, body, validation="Warn")
    assert got.problems == ['duplicate field "metadata.name"']
    assert got.obj.metadata.name == "b"


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"managedFields":[{"manager":"a"},{"fieldsV1":{"f:a":{"f:b":{},"f:b":{}}}}]}}',
        b'{"metadata":{"name":"a"},"spec":{"template":{"metadata":{"managedFields":[{"fieldsV1":{"f:a":{},"f:a":{}}}]}}}}',
        b'{"metadata":{"managedFields":[{"fieldsV1":{"f:a":{}}}]},"metadata":{"managedFields":[{"fieldsV1":{"f:a":{}}}]}}',
        b'{"metadata":{"managedFields":[{"fieldsV1":{"f:a":{}}}]},"spec":{"paused":true,"paused":true}}',
    ],
)
def test_owners_hide_no_repeated_key(body: bytes) -> None:
    for _ in range(2):
        assert len(decode(apps.Deployment, body, validation="Warn").problems) == 1


def test_owners_without_repeated_keys_are_no_problem() -> None:
    body = b'{"metadata":{"name":"a","managedFields":[{"manager":"a","fieldsV1":{"f:a":{"f:b":{}}}}]},"spec":{"paused":true}}'
    got = decode(apps.Deployment, body, validation="Strict")
    assert bytes(got.obj.metadata.managedFields[0].fieldsV1) == b'{"f:a":{"f:b":{}}}'


@pytest.mark.parametrize("key", ["managedFields", "managed\\u0046ields"])
def test_repeated_and_deep_owners_are_found(key: str) -> None:
    body = '{"metadata":{"%s":[{"fieldsV1":%s}]}}'
    got = decode(core.Pod, (body % (key, '{"f:a":{},"f:a":{}}')).encode(), validation="Warn")
    assert got.problems == ['duplicate field "metadata.managedFields[0].fieldsV1.f:a"']
    with pytest.raises(BadRequest, match="nests too deeply"):
        decode(core.Pod, (body % (key, '{"f:a":' * 300 + "{}" + "}" * 300)).encode())


def test_unknown_fields_nest_no_deeper_than_others() -> None:
    with pytest.raises(BadRequest, match="nests too deeply"):
        decode(core.Pod, b'{"metadata":{},"spec":{"other":%s}}' % (b"[" * 300 + b"]" * 300))


def test_every_value_of_the_wrong_type_is_told() -> None:
    body = pod(nodeName=3, hostNetwork="yes", containers=[{"name": "a", "ports": [{"containerPort": "http"}], "env": {}}])
    with pytest.raises(BadRequest) as caught:
        decode(core.Pod, body)
    assert caught.value.message == (
        'Pod in version "v1" cannot be handled as a Pod: '
        "json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type string, "
        "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool, "
        "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers[0].ports[0].containerPort of type int32, "
        "json: cannot unmarshal object into Go struct field Container.spec.containers[0].env of type []v1.EnvVar"
    )


@pytest.mark.parametrize(
    ("field", "value"), [("replicas", 2**31), ("replicas", 1.5), ("replicas", -(2**31) - 1), ("minReadySeconds", 2**63)]
)
def test_numbers_must_fit_their_field(field: str, value: float) -> None:
    with pytest.raises(BadRequest, match=f"cannot unmarshal number .* DeploymentSpec.spec.{field} of type int32"):
        decode(apps.Deployment, json.dumps({"spec": {field: value}}).encode())


def test_wide_numbers_have_64_bits() -> None:
    assert decode(core.Pod, pod(activeDeadlineSeconds=2**40)).obj.spec.activeDeadlineSeconds == 2**40


def test_times_become_whole_seconds_of_utc() -> None:
    got = decode(core.Pod, b'{"metadata":{"creationTimestamp":"2024-01-02T05:04:05.123+02:00"}}').obj
    assert got.metadata.creationTimestamp == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    with pytest.raises(BadRequest, match=r'parsing time "tomorrow" of field metadata\.creationTimestamp'):
        decode(core.Pod, b'{"metadata":{"creationTimestamp":"tomorrow"}}')


def test_micro_times_keep_their_fraction() -> None:
    body = b'{"spec":{"renewTime":"2024-01-02T03:04:05.123456Z"}}'
    assert decode(coordination.Lease, body).obj.spec.renewTime == "2024-01-02T03:04:05.123456Z"


def test_bytes_are_base64() -> None:
    assert decode(core.Secret, b'{"data":{"a":"YWJj\\n","b":null}}').obj.data == {"a": b"abc", "b": b""}
    for text, place in (("example", 4), ("a", 0), ("YWJ", 0), ("YW=", 3), ("YW=x", 2), ("YW==x", 4), ("YWJj=", 4), ("YW\nJ?", 4), ("é", 0)):
        with pytest.raises(BadRequest, match=rf"^Secret in version \"v1\" cannot be handled as a Secret: illegal base64.*byte {place}$"):
            decode(core.Secret, encode({"data": {"a": text}}))


def test_another_kind_or_version_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"the API version in the data \(v1\) does not match the expected API version \(apps/v1\)"):
        decode(apps.Deployment, b'{"apiVersion":"v1","kind":"Deployment"}')
    with pytest.raises(BadRequest, match='Service in version "v1" cannot be handled as a Pod'):
        decode(core.Pod, b'{"apiVersion":"v1","kind":"Service","spec":{"ports":[]}}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff",
        b'{"metadata":{"name":"\xff"}}',
        b'{"a":1} x',
        b'{"kind":"Pod\\ud800"}',
        b"null",
        b"{'a':1}",
        b'{"a":NaN}',
    ],
)
def test_malformed_bodies_are_one_clear_sentence(body: bytes) -> None:
    with pytest.raises(
        BadRequest, match=r"the object provided is unrecognized \(must be of type Pod\): couldn't get version/kind; json parse error: "
    ):
        decode(core.Pod, body)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"metadata":{"managedFields":[{"fieldsV1":' + b'{"a":' * 50_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000]
)
def test_depth_is_bounded(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(core.Pod, body, validation="Strict")


def test_yaml_bodies() -> None:
    body = b"""
apiVersion: v1
kind: Pod
metadata:
  name: a
  labels: {1: "x", app: &a web, tier: *a}
  creationTimestamp: 2024-01-02T03:04:05Z
spec:
  hostNetwork: yes
  containers:
  - name: c
    resources: {limits: {cpu: 1}}
"""
    got = decode(core.Pod, body, content_type="application/yaml; charset=utf-8", validation="Strict").obj
    assert got.metadata.labels == {"1": "x", "app": "web", "tier": "web"}
    assert got.metadata.creationTimestamp == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert got.spec.hostNetwork is True
    assert got.spec.containers[0].resources.limits == {"cpu": "1"}


def test_yaml_repeated_keys_and_merges() -> None:
    body = b"metadata:\n  labels: {<<: {a: x, b: y}, a: z}\nspec: {nodeName: a, nodeName: b}\n"
    got = decode(core.Pod, body, content_type="application/yaml", validation="Warn")
    assert got.obj.metadata.labels == {"a": "z", "b": "y"}
    assert got.problems == ['duplicate field "spec.nodeName"']


def test_yaml_bombs_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(BadRequest, match="excessive aliasing"):
        decode(core.Pod, "\n".join(rows).encode(), content_type="application/yaml")
    with pytest.raises(BadRequest, match="contains itself"):
        decode(core.Pod, b"a: &a [*a]", content_type="application/yaml")
    with pytest.raises(BadRequest, match="error converting YAML to JSON"):
        decode(core.Pod, b"a: [", content_type="application/yaml")


def test_other_formats_are_refused() -> None:
    with pytest.raises(UnsupportedMediaType):
        decode(core.Pod, b"\xa0", content_type="application/cbor")


def test_options_take_any_kind() -> None:
    got = decode(meta.DeleteOptions, b'{"kind":"DeleteOptions","apiVersion":"policy/v1","gracePeriodSeconds":0}', validation="Strict").obj
    assert got.gracePeriodSeconds == 0


def test_patched_documents() -> None:
    got = decode_document(
        apps.Deployment, {"spec": {"replicas": 2, "selector": None, "foo": 1}}, validation="Warn", earlier=['duplicate field "a"']
    )
    assert got.obj.spec.replicas == 2
    assert got.obj.kind == "Deployment"
    assert got.problems == ['duplicate field "a"', 'unknown field "spec.foo"']
    with pytest.raises(Invalid, match=r'^ "" is invalid: patch: Invalid value: .*cannot unmarshal string into .* of type int32$'):
        decode_document(apps.Deployment, {"spec": {"replicas": "2"}})
    with pytest.raises(Invalid, match=r'strict decoding error: unknown field "foo"$'):
        decode_document(apps.Deployment, {"foo": 1}, validation="Strict")


def test_patched_documents_obey_the_same_limits() -> None:
    with pytest.raises(Invalid, match=r"cannot unmarshal number 99999999999 into .* of type int32"):
        decode_document(apps.Deployment, {"spec": {"replicas": 99_999_999_999}})
    with pytest.raises(Invalid, match=r"does not match the expected API version \(apps/v1\)"):
        decode_document(apps.Deployment, {"apiVersion": "v2"})
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(BadRequest, match="maximal depth"):
        decode_document(core.Pod, {"metadata": {"managedFields": [{"fieldsV1": deep}]}})
    got = decode_document(core.Pod, {"metadata": {"deletionTimestamp": "2024-01-02T03:04:05.9Z"}}).obj
    assert got.metadata.deletionTimestamp == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "name", "labels", "containers", "data", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(junk)
def test_any_document_is_an_object_or_a_bad_request(document: Any) -> None:
    for type_ in (core.Pod, core.Secret, apps.Deployment):
        try:
            obj = decode(type_, json.dumps(document).encode(), validation="Warn").obj
        except BadRequest:
            continue
        assert decode(type_, encode(obj), validation="Strict").obj == obj


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_bad_request(body: bytes) -> None:
    for content_type in ("application/json", "application/yaml"):
        try:
            decode(core.Pod, body, content_type=content_type)
        except BadRequest:
            continue
