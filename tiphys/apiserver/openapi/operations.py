"""Operations on a kind, as data that both versions of OpenAPI are written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tiphys.api.machinery.scheme import GroupVersionKind, Kind, Subresource
from tiphys.apiserver.openapi import names
from tiphys.apiserver.openapi.connect import CONNECT, LOG
from tiphys.apiserver.openapi.parameters import DELETE, FORCE, LIST, NAME, NAMESPACE, PATH, PRETTY, WATCH, WRITE, Parameter

Body = Literal["", "object", "patch", "options"]
Result = Literal["object", "list", "event", "status", "stream", "log"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    path: str
    method: str
    action: str
    id: str
    text: str
    gvk: GroupVersionKind
    type: type[msgspec.Struct] | None
    parameters: tuple[Parameter, ...] = ()
    body: Body = ""
    result: Result = "object"
    created: bool = False


_ITEM_VERBS = (
    ("get", "get", "read", "read the specified {}", ()),
    ("update", "put", "replace", "replace the specified {}", WRITE),
    ("patch", "patch", "patch", "partially update the specified {}", (*WRITE, FORCE)),
)
_WATCH_TEXTS = (
    "watch objects of kind {}; deprecated: use the parameter 'watch' of a list instead",
    "watch one object of kind {}; deprecated: use the parameters 'watch' and 'fieldSelector' of a list instead",
)
_SHOWN_UNSAID = frozenset(("v1/namespaces",))
"""Kinds whose DELETE answers with the object while the document says it is a Status, as upstream's does."""
_CONNECT = {"attach", "exec", "portforward", "proxy"}
_CONNECT_METHODS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
_PROXIED = ("delete", "get", "head", "options", "patch", "post", "put")


def operations(kind: Kind[Any]) -> Iterator[Operation]:
    """Every operation on a kind and its subresources."""
    collection = f"{kind.root_path}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{kind.root_path}/{kind.plural}"
    item = f"{collection}/{{name}}"
    noun = _group_word(kind) + ("Namespaced" if kind.namespaced else "") + kind.kind
    place = (NAMESPACE,) if kind.namespaced else ()
    verbs = set(kind.verbs)

    def make(path: str, method: str, action: str, id_: str, text: str, parameters: tuple[Parameter, ...], **rest: Any) -> Operation:
        where = (*((NAME,) if "{name}" in path else ()), *(place if "{namespace}" in path else ()))
        return Operation(path, method, action, id_, text, kind.gvk, kind.type, (*parameters, *where, PRETTY), **rest)

    if "list" in verbs:
        text = f"list or watch objects of kind {kind.kind}"
        yield make(collection, "get", "list", f"list{noun}", text, (*LIST, WATCH), result="list")
        if kind.namespaced:
            everywhere = f"{kind.root_path}/{kind.plural}"
            yield make(
                everywhere, "get", "list", f"list{_group_word(kind)}{kind.kind}ForAllNamespaces", text, (*LIST, WATCH), result="list"
            )
    if "create" in verbs:
        yield make(collection, "post", "post", f"create{noun}", f"create {_article(kind.kind)}", WRITE, body="object", created=True)
    if "deletecollection" in verbs:
        id_ = f"delete{_group_word(kind)}Collection{'Namespaced' if kind.namespaced else ''}{kind.kind}"
        parameters = tuple(dict.fromkeys((*LIST[1:], *DELETE)))
        yield make(
            collection, "delete", "deletecollection", id_, f"delete collection of {kind.kind}", parameters, body="options", result="status"
        )
    for verb, method, word, text, parameters in _ITEM_VERBS:
        if verb in verbs:
            yield make(item, method, method, f"{word}{noun}", text.format(kind.kind), parameters, body=_body(verb), created=verb != "get")
    if "delete" in verbs:
        result: Result = "object" if kind.shown_when_deleted and kind.ident not in _SHOWN_UNSAID else "status"
        text = f"delete {_article(kind.kind)}"
        yield make(item, "delete", "delete", f"delete{noun}", text, DELETE, body="options", result=result)
    if {"list", "watch"} <= verbs:
        yield from _watches(kind, noun)
    for sub in kind.subresources:
        yield from _subresource(kind, sub, item, noun, (NAME, *place, PRETTY))


def _watches(kind: Kind[Any], noun: str) -> Iterator[Operation]:
    """The old way to watch, by path."""
    root = f"{kind.root_path}/watch"
    within = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    place = (NAMESPACE,) if kind.namespaced else ()
    whole, one = _WATCH_TEXTS
    paths = [
        (within, "watchlist", f"watch{noun}List", whole, place),
        (f"{within}/{{name}}", "watch", f"watch{noun}", one, (NAME, *place)),
    ]
    if kind.namespaced:
        paths.append((f"{root}/{kind.plural}", "watchlist", f"watch{_group_word(kind)}{kind.kind}ListForAllNamespaces", whole, ()))
    for path, action, id_, text, where in paths:
        parameters = (*LIST, WATCH, *where, PRETTY)
        yield Operation(path, "get", action, id_, text.format(kind.kind), kind.gvk, kind.type, parameters, result="event")


def _subresource(kind: Kind[Any], sub: Subresource, item: str, noun: str, place: tuple[Parameter, ...]) -> Iterator[Operation]:
    gvk = sub.kind or kind.gvk
    type_ = kind.type if sub.kind is None or sub.kind == kind.gvk else names.type_of(sub.kind)
    path, tail = f"{item}/{sub.name}", sub.name[:1].upper() + sub.name[1:]
    if sub.name in _CONNECT:
        yield from _connect(kind, sub, path, tail, place[:-1])
        return
    if sub.name == "log":
        text = f"read log of the specified {kind.kind}"
        yield Operation(path, "get", "get", f"read{noun}Log", text, gvk, None, (*LOG, *place), result="log")
        return
    if "create" in sub.verbs:
        text = f"create {sub.name} of {_article(kind.kind)}"
        yield Operation(path, "post", "post", f"create{noun}{tail}", text, gvk, type_, (*WRITE, *place), body="object", created=True)
    for verb, method, word, text, parameters in _ITEM_VERBS:
        if verb in sub.verbs:
            description = text.format(f"{sub.name} of {kind.kind}") if verb != "get" else f"read {sub.name} of the specified {kind.kind}"
            yield Operation(
                path,
                method,
                method,
                f"{word}{noun}{tail}",
                description,
                gvk,
                type_,
                (*parameters, *place),
                body=_body(verb),
                created=verb != "get",
            )


def _connect(kind: Kind[Any], sub: Subresource, path: str, tail: str, place: tuple[Parameter, ...]) -> Iterator[Operation]:
    """Operations of a stream; a proxy takes every method, and paths below it."""
    gvk = sub.kind or kind.gvk
    methods = _PROXIED if sub.name == "proxy" else tuple(_CONNECT_METHODS[verb] for verb in sub.verbs)
    parameters = (*CONNECT.get(gvk.kind, ()), *place)
    for method in methods:
        text = f"connect {method.upper()} requests to {sub.name} of {kind.kind}"
        id_ = f"connect{_group_word(kind)}{method.title()}{'Namespaced' if kind.namespaced else ''}{kind.kind}{tail}"
        yield Operation(path, method, "connect", id_, text, gvk, None, parameters, result="stream")
        if sub.name == "proxy":
            below = (*parameters, PATH)
            yield Operation(f"{path}/{{path}}", method, "connect", f"{id_}WithPath", text, gvk, None, below, result="stream")


def _body(verb: str) -> Body:
    bodies: dict[str, Body] = {"update": "object", "patch": "patch"}
    return bodies.get(verb, "")


def _article(word: str) -> str:
    return f"an {word}" if word[:1] in "AEIO" else f"a {word}"


def tag(kind: Kind[Any]) -> str:
    """`apps_v1`, `rbacAuthorization_v1`: by which documentation generators group operations."""
    return f"{names.group_word(kind.group)}_{kind.version}"


def _group_word(kind: Kind[Any]) -> str:
    """`AppsV1`, `RbacAuthorizationV1`."""
    return "".join(word[:1].upper() + word[1:] for word in (names.group_word(kind.group), kind.version))
