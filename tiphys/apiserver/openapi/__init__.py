"""OpenAPI of everything that is served, built from the types on the first request.

`/openapi/v2` is one document of all kinds; `/openapi/v3` is an index of one document for each group and version, whose URLs carry a hash of
what the document is made from, so that clients may keep it forever. Documents are kept compressed: most clients want them so.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import tiphys.api
from tiphys.api.machinery.errors import NotAcceptable, NotFound
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.apiserver.discovery import GIT_VERSION
from tiphys.apiserver.openapi import gnostic
from tiphys.apiserver.openapi.write import document_v2, document_v3
from tiphys.wire.http import Request, Response

__all__ = ["Documents"]

_JSON = "application/json"


class _Stored(NamedTuple):
    compressed: bytes
    etag: str


class Documents:
    """OpenAPI of a scheme, as responses."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._seen = -1
        self._stored: dict[str, _Stored] = {}
        self._source = ""

    def answer(self, request: Request) -> Response:
        """The answer to a GET of /openapi/v2, /openapi/v3 or below; raises NotFound and NotAcceptable."""
        if self._scheme.changes != self._seen:
            self._stored.clear()
            self._seen = self._scheme.changes
        path = request.path.rstrip("/")
        media = _negotiate(request.headers.get("accept", ""), gnostic.ACCEPTED if path == "/openapi/v2" else ())
        if path == "/openapi/v2":
            return self._second(request, media)
        if path == "/openapi/v3":
            return self._index(request)
        return self._version(request, path.removeprefix("/openapi/v3/"))

    def _second(self, request: Request, media: str) -> Response:
        """OpenAPI 2, as JSON or as protobuf."""
        stored = self._stored.get(media)
        if stored is None:
            document = document_v2(self._scheme)
            body = msgspec.json.encode(document) if media == _JSON else gnostic.encode_document(document)
            stored = self._stored[media] = _pack(body, _digest(body))
        return self._send(request, stored, {"Vary": "Accept", "Content-Type": _JSON if media == _JSON else gnostic.CONTENT_TYPE})

    def _index(self, request: Request) -> Response:
        roots = sorted({kind.root_path.strip("/") for kind in self._scheme})
        paths = {root: {"serverRelativeURL": self._url(root)} for root in roots}
        body = msgspec.json.encode({"paths": paths})
        headers = {"Content-Type": _JSON, "ETag": f'"{_digest(body)}"'}
        return Response(304, headers) if _unchanged(request, headers["ETag"]) else Response(200, headers, body)

    def _version(self, request: Request, root: str) -> Response:
        kinds = self._kinds(root)
        if not kinds:
            raise NotFound.path()
        headers = {"Vary": "Accept"}
        digest = request.param("hash")
        if digest:
            if digest != self._hash(root):
                return Response(301, {"Location": self._url(root)})
            headers["Cache-Control"] = "public, immutable, max-age=31536000"
        return self._send(request, self._document(root, kinds), headers)

    def _kinds(self, root: str) -> list[Kind[Any]]:
        return [kind for kind in self._scheme if kind.root_path.strip("/") == root]

    def _url(self, root: str) -> str:
        return f"/openapi/v3/{root}?hash={self._hash(root)}"

    def _hash(self, root: str) -> str:
        """A digest of the sources of a group version's document, known without building it."""
        self._source = self._source or _source_digest()
        served = [
            (
                *(kind.gvk, kind.plural, kind.namespaced, kind.verbs, [(sub.name, sub.verbs) for sub in kind.subresources]),
                None if kind.type.__model__ is None else (kind.type.__model__.structural.document, kind.type.__model__.selectable),
            )
            for kind in self._kinds(root)
        ]
        return _digest(msgspec.json.encode([GIT_VERSION, self._source, served]))

    def _document(self, root: str, kinds: list[Kind[Any]]) -> _Stored:
        stored = self._stored.get(root)
        if stored is None:
            stored = self._stored[root] = _pack(msgspec.json.encode(document_v3(kinds)), self._hash(root))
        return stored

    @staticmethod
    def _send(request: Request, stored: _Stored, headers: dict[str, str]) -> Response:
        headers = {"Content-Type": _JSON, "ETag": stored.etag} | headers
        if _unchanged(request, stored.etag):
            return Response(304, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(200, headers | {"Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}, stored.compressed)
        return Response(200, headers, gzip.decompress(stored.compressed))


def _pack(body: bytes, etag: str) -> _Stored:
    return _Stored(gzip.compress(body, 6, mtime=0), f'"{etag}"')


def _negotiate(accept: str, others: tuple[str, ...]) -> str:
    """The media type to answer with: the first clause that can be served."""
    for clause in (accept or _JSON).split(","):
        media = clause.partition(";")[0].strip()
        if media in (_JSON, "application/*", "*/*"):
            return _JSON
        if media in others:
            return others[0]
    raise NotAcceptable(f"only the following media types are accepted: {', '.join((_JSON, *others))}")


def _unchanged(request: Request, etag: str) -> bool:
    return etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]


def _digest(body: bytes) -> str:
    return hashlib.sha512(body).hexdigest().upper()


def _source_digest() -> str:
    """A digest of the modules that types and documents come from, so that another program version never meets an old cache."""
    digest = hashlib.sha512()
    for root in (Path(tiphys.api.__file__).parent, Path(__file__).parent):
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()
