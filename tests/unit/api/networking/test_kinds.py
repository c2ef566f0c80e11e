"""Ingresses, their classes and network policies."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.networking.v1 import IngressLoadBalancerIngress

BACKEND = "{service: {name: web, port: {number: 80}}}"


def ingress(spec: str, meta: str = "") -> str:
    return f"{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: a{meta}}}, spec: {spec}}}"


def backend(text: str) -> str:
    return ingress(f"{{defaultBackend: {text}}}")


def path(text: str) -> str:
    return ingress(f"{{rules: [{{http: {{paths: [{{backend: {BACKEND}, {text}}}]}}}}]}}")


def host(text: str) -> str:
    return ingress(f"{{rules: [{{host: '{text}'}}]}}")


def klass(spec: str) -> str:
    return f"{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: a}}, spec: {spec}}}"


def policy(spec: str) -> str:
    return f"{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: a}}, spec: {spec}}}"


def port(text: str) -> str:
    return policy(f"{{ingress: [{{ports: [{text}]}}]}}")


def block(text: str) -> str:
    return policy(f"{{egress: [{{to: [{{ipBlock: {text}}}]}}]}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ingress("{}"), "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"),
        (ingress(f"{{defaultBackend: {BACKEND}, ingressClassName: A}}"), 'spec.ingressClassName: Invalid value: "A": a lowercase RFC 1123 subdomain'),
        (ingress(f"{{defaultBackend: {BACKEND}, ingressClassName: b}}", ", annotations: {kubernetes.io/ingress.class: c}"), 'annotations.kubernetes.io/ingress.class: Invalid value: "c": must match `ingressClassName` when both are specified'),
        (ingress(f"{{defaultBackend: {BACKEND}, tls: [{{hosts: ['*.*.a'], secretName: A}}]}}"), 'spec.tls[0].hosts[0]: Invalid value: "*.*.a": a wildcard DNS-1123 subdomain must start with'),
        (ingress(f"{{defaultBackend: {BACKEND}, tls: [{{secretName: A}}]}}"), 'spec.tls[0].secretName: Invalid value: "A"'),
        (backend("{}"), 'spec.defaultBackend: Invalid value: "": resource or service backend is required'),
        (backend("{service: {name: a, port: {number: 1}}, resource: {kind: a, name: b}}"), "cannot set both resource and service backends"),
        (backend("{service: {port: {number: 1}}}"), "spec.defaultBackend.service.name: Required value"),
        (backend("{service: {name: A, port: {number: 1}}}"), 'spec.defaultBackend.service.name: Invalid value: "A": a lowercase RFC 1123 label'),
        (backend("{service: {name: a}}"), "spec.defaultBackend: Required value: port name or number is required"),
        (backend("{service: {name: a, port: {number: 1, name: b}}}"), "cannot set both port name & port number"),
        (backend("{service: {name: a, port: {number: 70000}}}"), "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        (backend("{service: {name: a, port: {name: A}}}"), 'spec.defaultBackend.service.port.name: Invalid value: "A"'),
        (backend("{resource: {apiGroup: A, kind: k, name: n}}"), 'spec.defaultBackend.resource.apiGroup: Invalid value: "A"'),
        (backend("{resource: {name: n/m}}"), "spec.defaultBackend.resource.kind: Required value"),
        (backend("{resource: {kind: k, name: n/m}}"), "spec.defaultBackend.resource.name: Invalid value: \"n/m\": may not contain '/'"),
        (host("10.0.0.1"), 'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'),
        (host("*.A"), 'spec.rules[0].host: Invalid value: "*.A": a wildcard DNS-1123 subdomain'),
        (host("A"), 'spec.rules[0].host: Invalid value: "A": a lowercase RFC 1123 subdomain'),
        (ingress("{rules: [{http: {}}]}"), "spec.rules[0].http.paths: Required value"),
        (path("path: /"), "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"),
        (path("path: /, pathType: Odd"), 'spec.rules[0].http.paths[0].pathType: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"'),
        (path("pathType: Prefix"), 'spec.rules[0].http.paths[0].path: Invalid value: "": must be an absolute path'),
        (path("path: a, pathType: ImplementationSpecific"), "must be an absolute path"),
        (path("path: /a//b, pathType: Exact"), "must not contain '//'"),
        (path("path: /a%2fb, pathType: Exact"), "must not contain '%2f'"),
        (path("path: /a/.., pathType: Prefix"), "cannot end with '/..'"),
        (klass("{}"), "spec.controller: Required value"),
        (klass("{controller: acme}"), 'spec.controller: Invalid value: "acme": must be a domain-prefixed path (such as "acme.io/foo")'),
        (klass("{controller: A/b}"), 'spec.controller: Invalid value: "A": a lowercase RFC 1123 subdomain'),
        (klass("{controller: 'acme.io/b c'}"), 'spec.controller: Invalid value: "b c": Invalid path (regex used for validation is'),
        (klass("{controller: acme.io/b, parameters: {kind: k}}"), "spec.parameters.name: Required value"),
        (klass("{controller: acme.io/b, parameters: {kind: k, name: n, scope: Odd}}"), 'spec.parameters.scope: Unsupported value: "Odd": supported values: "Cluster", "Namespace"'),
        (klass("{controller: acme.io/b, parameters: {kind: k, name: n, scope: Namespace}}"), "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"),
        (klass("{controller: acme.io/b, parameters: {kind: k, name: n, namespace: n}}"), "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"),
        (policy("{podSelector: {matchLabels: {a/b/c: d}}}"), 'spec.podSelector.matchLabels: Invalid value: "a/b/c"'),
        (policy("{policyTypes: [Odd]}"), 'spec.policyTypes[0]: Unsupported value: "Odd": supported values: "Ingress", "Egress"'),
        (policy("{policyTypes: [Ingress, Egress, Ingress]}"), 'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes'),
        (policy("{ingress: [{from: [{}]}]}"), "spec.ingress[0].from[0]: Required value: must specify a peer"),
        (policy("{ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}"), "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"),
        (port("{protocol: Odd}"), 'spec.ingress[0].ports[0].protocol: Unsupported value: "Odd": supported values: "TCP", "UDP", "SCTP"'),
        (port("{port: 0}"), "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        (port("{port: A}"), 'spec.ingress[0].ports[0].port: Invalid value: "A"'),
        (port("{endPort: 5}"), "spec.ingress[0].ports[0].endPort: Invalid value: 5: may not be specified when `port` is not specified"),
        (port("{port: a, endPort: 5}"), "may not be specified when `port` is non-numeric"),
        (port("{port: 9, endPort: 5}"), "spec.ingress[0].ports[0].endPort: Invalid value: 9: must be greater than or equal to `port`"),
        (block("{}"), "spec.egress[0].to[0].ipBlock.cidr: Required value"),
        (block("{cidr: 10.0.0.1/8}"), "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length"),
        (block("{cidr: 10.0.0.0/8, except: [11.0.0.0/9]}"), 'spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "11.0.0.0/9": must be a strict subset of `cidr`'),
        (block("{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}"), "must be a strict subset of `cidr`"),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


@pytest.mark.parametrize(
    "text",
    [
        ingress(f"{{defaultBackend: {BACKEND}, ingressClassName: b}}", ", annotations: {kubernetes.io/ingress.class: b}"),
        ingress("{rules: [{host: '*.example.com'}], tls: [{hosts: ['*.example.com', a.example.com], secretName: s}]}"),
        path("path: '', pathType: ImplementationSpecific"),
        backend("{resource: {apiGroup: example.com, kind: Bucket, name: b}}"),
        klass("{controller: acme.io/b, parameters: {kind: k, name: n, scope: Namespace, namespace: n}}"),
        policy("{}"),
        port("{port: 80, endPort: 90}"),
        block("{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}"),
    ],
)
def test_accepts_valid_objects(server: Any, text: str) -> None:
    server.create(text)


def test_defaults(server: Any) -> None:
    assert server.create(policy("{}")).spec.policyTypes == ["Ingress"]
    both = server.create(policy("{egress: [{ports: [{port: 1}]}]}"))
    assert (both.spec.policyTypes, both.spec.egress[0].ports[0].protocol) == (["Ingress", "Egress"], "TCP")
    assert server.create(policy("{egress: [{}], policyTypes: [Egress]}")).spec.policyTypes == ["Egress"]
    assert server.create(klass("{controller: a.b/c, parameters: {kind: k, name: n}}")).spec.parameters.scope == "Cluster"


def test_immutable_fields(server: Any) -> None:
    assert server.update(server.create(klass("{controller: a.b/c}")), spec__controller="a.b/d")[1] == [
        'spec.controller: Invalid value: "a.b/d": field is immutable'
    ]


def test_an_annotation_that_contradicts_is_refused_on_create_alone(server: Any) -> None:
    old = server.create(backend(BACKEND))
    assert server.update(old, metadata__annotations={"kubernetes.io/ingress.class": "b"}, spec__ingressClassName="c")[1] == []


def test_warnings(server: Any) -> None:
    said = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    assert server.warnings(ingress(f"{{defaultBackend: {BACKEND}}}", ", annotations: {kubernetes.io/ingress.class: b}")) == [said]
    assert server.warnings(block("{cidr: '2001:DB8::/32', except: ['2001:DB8:1::/48']}")) == [
        'spec.egress[0].to[0].ipBlock.cidr: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical format ("2001:db8::/32")',
        'spec.egress[0].to[0].ipBlock.except[0]: IPv6 CIDR value "2001:DB8:1::/48" should be in RFC 5952 canonical format ("2001:db8:1::/48")',
    ]


def test_statuses(server: Any) -> None:
    old = server.create(backend(BACKEND))
    new = server.load(backend(BACKEND))
    new.status.loadBalancer.ingress = [IngressLoadBalancerIngress(ip="1.2.3", hostname="10.0.0.1")]
    rules = SCHEME.of(type(old)).rules
    assert [str(error) for error in rules.validate_status_update(new, old)] == [
        'status.loadBalancer.ingress[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'status.loadBalancer.ingress[0].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
    ]
