"""What can be asked of a kind, as data that both versions of OpenAPI are written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tiphys.api.scheme import GroupVersionKind, Kind, Subresource
from tiphys.apiserver.openapi import names

Body = Literal["", "object", "patch", "options"]
Result = Literal["object", "list", "status", "text"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a path or a query."""

    name: str
    type: str
    text: str
    where: str = "query"


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


PRETTY = Parameter("pretty", "string", "If `true`, the answer is indented.")
NAME = Parameter("name", "string", "The name of the object.", "path")
NAMESPACE = Parameter("namespace", "string", "The namespace of the object.", "path")

_DRY_RUN = Parameter("dryRun", "string", "`All`: do everything but persist the change.")
_MANAGER = Parameter("fieldManager", "string", "The name under which the changed fields are owned.")
_VALIDATION = Parameter(
    "fieldValidation",
    "string",
    "What to do with unknown and repeated fields: `Ignore` them, `Warn` about them, or with `Strict` refuse the request.",
)
_FORCE = Parameter("force", "boolean", "Take conflicting fields over from other managers; only for apply patches.")
_VERSION = Parameter("resourceVersion", "string", "How recent the answer must be.")
_LIST = (
    Parameter("allowWatchBookmarks", "boolean", "Send BOOKMARK events in a watch."),
    Parameter("continue", "string", "Where to continue a list that had a limit."),
    Parameter("fieldSelector", "string", "Only objects whose fields match."),
    Parameter("labelSelector", "string", "Only objects whose labels match."),
    Parameter("limit", "integer", "The most objects to return."),
    _VERSION,
    Parameter("resourceVersionMatch", "string", "How resourceVersion is meant: `Exact` or `NotOlderThan`."),
    Parameter("sendInitialEvents", "boolean", "Begin a watch with the present objects."),
    Parameter("timeoutSeconds", "integer", "After how many seconds a watch ends."),
)
_WATCH = Parameter("watch", "boolean", "Stream changes instead of listing.")
_DELETE = (
    _DRY_RUN,
    Parameter("gracePeriodSeconds", "integer", "How many seconds the object has to end."),
    Parameter("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Delete an object that cannot be read."),
    Parameter("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    Parameter("propagationPolicy", "string", "What becomes of dependents: `Orphan`, `Background` or `Foreground`."),
)
_WRITE = (_DRY_RUN, _MANAGER, _VALIDATION)

_ITEM_VERBS = (
    ("get", "get", "read", "read the specified {}", ()),
    ("update", "put", "replace", "replace the specified {}", _WRITE),
    ("patch", "patch", "patch", "partially update the specified {}", (*_WRITE, _FORCE)),
)
_CONNECT = {"attach", "exec", "portforward", "proxy"}
_CONNECT_METHODS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}


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
        yield make(collection, "get", "list", f"list{noun}", text, (*_LIST, _WATCH), result="list")
        if kind.namespaced:
            everywhere = f"{kind.root_path}/{kind.plural}"
            yield make(
                everywhere, "get", "list", f"list{_group_word(kind)}{kind.kind}ForAllNamespaces", text, (*_LIST, _WATCH), result="list"
            )
    if "create" in verbs:
        yield make(collection, "post", "post", f"create{noun}", f"create {_article(kind.kind)}", _WRITE, body="object", created=True)
    if "deletecollection" in verbs:
        id_ = f"delete{_group_word(kind)}Collection{'Namespaced' if kind.namespaced else ''}{kind.kind}"
        parameters = tuple(dict.fromkeys((*_LIST[1:], *_DELETE)))
        yield make(
            collection, "delete", "deletecollection", id_, f"delete collection of {kind.kind}", parameters, body="options", result="status"
        )
    for verb, method, word, text, parameters in _ITEM_VERBS:
        if verb in verbs:
            yield make(item, method, method, f"{word}{noun}", text.format(kind.kind), parameters, body=_body(verb), created=verb != "get")
    if "delete" in verbs:
        yield make(item, "delete", "delete", f"delete{noun}", f"delete {_article(kind.kind)}", _DELETE, body="options", result="status")
    for sub in kind.subresources:
        yield from _subresource(kind, sub, item, noun, (NAME, *place, PRETTY))


def _subresource(kind: Kind[Any], sub: Subresource, item: str, noun: str, place: tuple[Parameter, ...]) -> Iterator[Operation]:
    gvk = sub.kind or kind.gvk
    type_ = kind.type if sub.kind is None or sub.kind == kind.gvk else names.type_of(sub.kind)
    path, tail = f"{item}/{sub.name}", sub.name[:1].upper() + sub.name[1:]
    if sub.name in _CONNECT:
        for verb in sub.verbs:
            method = _CONNECT_METHODS[verb]
            text = f"connect {method.upper()} requests to {sub.name} of {kind.kind}"
            yield Operation(path, method, "connect", f"connect{method.title()}{noun}{tail}", text, gvk, None, place, result="text")
        return
    if sub.name == "log":
        yield Operation(path, "get", "get", f"read{noun}Log", f"read log of the specified {kind.kind}", gvk, None, place, result="text")
        return
    if "create" in sub.verbs:
        text = f"create {sub.name} of {_article(kind.kind)}"
        yield Operation(path, "post", "post", f"create{noun}{tail}", text, gvk, type_, (*_WRITE, *place), body="object", created=True)
    for verb, method, word, text, parameters in _ITEM_VERBS:
        if verb in sub.verbs:
            said = text.format(f"{sub.name} of {kind.kind}") if verb != "get" else f"read {sub.name} of the specified {kind.kind}"
            yield Operation(
                path,
                method,
                method,
                f"{word}{noun}{tail}",
                said,
                gvk,
                type_,
                (*parameters, *place),
                body=_body(verb),
                created=verb != "get",
            )


def _body(verb: str) -> Body:
    bodies: dict[str, Body] = {"update": "object", "patch": "patch"}
    return bodies.get(verb, "")


def _article(word: str) -> str:
    return f"an {word}" if word[:1] in "AEIO" else f"a {word}"


def tag(kind: Kind[Any]) -> str:
    """`apps_v1`, by which documentation generators sort."""
    return f"{kind.group.partition('.')[0] or 'core'}_{kind.version}"


def _group_word(kind: Kind[Any]) -> str:
    """`AppsV1`, `RbacAuthorizationV1`."""
    words = (kind.group or "core").removesuffix(".k8s.io").split(".")
    return "".join(word[:1].upper() + word[1:] for word in (*words, kind.version))
