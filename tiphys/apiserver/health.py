"""/healthz, /livez and /readyz: the named checks of the server ("Kubernetes API health endpoints")."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tiphys.api.machinery.errors import NotFound
from tiphys.apiserver.answers.render import plain
from tiphys.obs.health import Check, page, page_of_one
from tiphys.wire.http import Request, Response

log = logging.getLogger(__name__)

READY = "readyz"
ENDPOINTS = ("healthz", "livez", READY)
STEP = "poststarthook/"
"""Prefix of the checks that stand for steps of the start."""
_SHUTDOWN = "shutdown"


class Health:
    """The checks of one server, in the order in which the pages show them."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {endpoint: {} for endpoint in ENDPOINTS}
        self._unfinished: set[str] = set()
        self._is_stopping = False

    def add(self, name: str, check: Check, *, endpoints: Iterable[str] = ENDPOINTS) -> None:
        """Show a check on these pages."""
        for endpoint in endpoints:
            self._checks[endpoint][name] = check

    def expect(self, *steps: str) -> None:
        """Add a check for each step of the start, which fails until `finish`, and the one that fails while the server stops."""
        for step in steps:
            self._unfinished.add(step)
            self.add(STEP + step, lambda step=step: "not finished" if step in self._unfinished else "")  # type: ignore[misc]
        self.add(_SHUTDOWN, lambda: "process is shutting down" if self._is_stopping else "", endpoints=(READY,))

    def finish(self, *steps: str) -> None:
        """Steps of the start are done."""
        self._unfinished.difference_update(steps)

    def stop(self) -> None:
        """The server is about to stop: it lives but is not ready."""
        self._is_stopping = True

    def results(self, endpoint: str) -> dict[str, str]:
        """Return the result of each check of an endpoint: the reason for which it fails, or ""."""
        return {name: check() for name, check in self._checks[endpoint].items()}

    def paths(self) -> list[str]:
        """The paths of all pages."""
        return [path for endpoint, checks in self._checks.items() for path in (f"/{endpoint}", *(f"/{endpoint}/{name}" for name in checks))]

    def answer(self, request: Request, path: str) -> Response:
        """The page of all checks (`/readyz?verbose&exclude=etcd`) or of one (`/readyz/etcd`). Raises NotFound."""
        endpoint, _, name = path.lstrip("/").partition("/")
        if not name and endpoint in self._checks:
            return self._page(request, endpoint)
        check = self._checks.get(endpoint, {}).get(name)
        if check is None:
            raise NotFound.path()
        shown = page_of_one(name, check)
        return plain(shown.text, shown.status)

    def _page(self, request: Request, endpoint: str) -> Response:
        shown = page(endpoint, self._checks[endpoint], request.query)
        if shown.failed:
            log.info("health check failed", extra={"endpoint": endpoint, "failed": shown.failed})
        return plain(shown.text, shown.status)
