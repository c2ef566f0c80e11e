"""The few calls to the API server that a driver makes, with the service account of its pod."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
RESOURCES = "/apis/resource.k8s.io/v1"


class Api:
    """Client that blocks: call it in a thread."""

    def __init__(self, server: str, account: Path = ACCOUNT) -> None:
        self._server = server.rstrip("/")
        self._account = account

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the decoded answer. Raises urllib.error.HTTPError; the token is read each time, as it is renewed."""
        token = (self._account / "token").read_text().strip()
        request = urllib.request.Request(f"{self._server}{path}", method=method, headers={"Authorization": f"Bearer {token}"})
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return json.load(answer)

    def publish(self, desired: dict[str, Any]) -> None:
        """Create a ResourceSlice, or replace it with the next generation of its pool if it differs."""
        path = f"{RESOURCES}/resourceslices"
        try:
            known = self.call("GET", f"{path}/{desired['metadata']['name']}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            self.call("POST", path, desired)
            return
        if known["spec"]["devices"] != desired["spec"]["devices"]:
            desired["metadata"] = known["metadata"]
            desired["spec"]["pool"]["generation"] = known["spec"]["pool"]["generation"] + 1
            self.call("PUT", f"{path}/{known['metadata']['name']}", desired)

    def devices_of(self, namespace: str, name: str, uid: str, driver: str) -> list[dict[str, str]]:
        """Return the devices that a claim got from a driver, with their requests. Raises LookupError for another claim of that name."""
        claim = self.call("GET", f"{RESOURCES}/namespaces/{namespace}/resourceclaims/{name}")
        if claim["metadata"]["uid"] != uid:
            raise LookupError(f"claim {namespace}/{name} was replaced")
        return [one for one in claim["status"]["allocation"]["devices"]["results"] if one["driver"] == driver]
