"""Claims and pods that come and go while processes of the cluster are killed, and what must be left of them."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.e2e.storage.machine import check_devices, loop_devices, mount_points, settings_of
from tiphys.testing.cluster import Cluster, wait_for

LIMIT = 20
"""Claims at a time."""
MANIFEST = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %(name)s, labels: {app: churn}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 32Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, labels: {app: churn}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
    - name: write
      image: tiphys.local/busybox:1
      command: [sh, -c, "%(check)s || { echo %(name)s > /data/name; sync; }; [ $(cat /data/name) = %(name)s ]"]
      volumeMounts: [{name: data, mountPath: /data}]
  containers:
    - {name: main, image: "tiphys.local/busybox:1", command: [sleep, "10000"], volumeMounts: [{name: data, mountPath: /data}]}
  volumes:
    - name: data
      persistentVolumeClaim: {claimName: %(name)s}
---
"""
WRITTEN, ANY = "[ -s /data/name ] || exit 1", "[ -s /data/name ]"
"""First step of a pod with a claim that was written to, or with any."""


class Churn:
    """Pods with a claim each, in which they find what the first of them wrote. What happens follows from `rng`; when, from the machine."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.cluster = cluster
        self.rng = rng
        self.kills = 0
        self.made = 0
        self._written: dict[str, bool] = {}
        """Claims that should be there, and whether a pod has been ready with them."""

    def run(self, seconds: float) -> None:
        """Create and delete at random for a time, while another thread kills."""
        end = time.monotonic() + seconds
        killer = threading.Thread(target=self._kill_until, args=(end, random.Random(self.rng.random())))
        killer.start()
        try:
            while time.monotonic() < end:
                self.rng.choice((self._create, self._create, self._delete, self._replace))()
                self._note()
                check_devices(self.cluster)
        finally:
            killer.join()

    def settle(self) -> None:
        """Wait until every claim that should be there has its data in a new pod, and nothing is left of the others."""
        wait_for(lambda: self._kubectl("get --raw /readyz"), timeout=60)
        wait_for(lambda: self._kubectl("delete pods -l app=churn --force --grace-period=0 --wait=false"))
        wait_for(self._applied, timeout=120, interval=1.0)
        wait_for(self._consistent, timeout=60)

    def finish(self) -> None:
        """Delete everything and wait until nothing is left."""
        self._written.clear()
        wait_for(lambda: self._kubectl("delete pods,pvc -l app=churn --force --grace-period=0 --wait=false"))
        wait_for(self._consistent, timeout=60)

    # -- steps

    def _create(self) -> None:
        for _ in range(self.rng.randint(1, 4)):
            if len(self._written) < LIMIT:
                self._written[f"churn-{self.made}"] = False
                self.made += 1
        self._apply()

    def _delete(self) -> None:
        names = self.rng.sample(sorted(self._written), min(len(self._written), self.rng.randint(1, 3)))
        for name in names:
            del self._written[name]
            self._kubectl(f"delete pod/{name} pvc/{name} --wait=false")

    def _replace(self) -> None:
        for name in self.rng.sample(sorted(self._written), min(len(self._written), 3)):
            self._kubectl(f"delete pod {name} --wait=false")
        self._apply()

    def _kill_until(self, end: float, rng: random.Random) -> None:
        while (pause := rng.uniform(0.5, 4.0)) < end - time.monotonic():
            time.sleep(pause)
            pid = self.cluster.pid(rng.choice(("server", "node", "node")))
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                self.kills += 1

    # -- queries

    def _kubectl(self, arguments: str) -> bool:
        return self.cluster.kubectl(arguments, check=False).code == 0

    def _items(self, kinds: str) -> list[Any]:
        done = self.cluster.kubectl(f"get {kinds} -o json", check=False)
        assert done.code == 0, done.err
        items: list[Any] = done.json["items"]
        return items

    def _apply(self) -> None:
        manifest = "".join(MANIFEST % {"name": name, "check": WRITTEN if written else ANY} for name, written in self._written.items())
        if manifest:
            self.cluster.kubectl("apply -f -", stdin=manifest, check=False)

    def _note(self) -> None:
        try:
            self._written.update((name, True) for name in self._ready() if name in self._written)
        except AssertionError:
            return  # The server is away.

    def _ready(self) -> set[str]:
        return {
            pod["metadata"]["name"]
            for pod in self._items("pods -l app=churn")
            if "deletionTimestamp" not in pod["metadata"]
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        }

    def _applied(self) -> bool:
        for claim in self._items("pvc -l app=churn"):
            if claim["metadata"]["name"] not in self._written:
                name = claim["metadata"]["name"]
                self._kubectl(f"delete pod/{name} pvc/{name} --ignore-not-found --wait=false")
        self._apply()
        return self._ready() == set(self._written)

    def _consistent(self) -> bool:
        """Compare claims, volumes, files, devices and mounts; AssertionError names the first that do not fit."""
        settings = settings_of(self.cluster)
        claims, pods = self._items("pvc"), self._items("pods")
        assert {claim["metadata"]["name"] for claim in claims} == set(self._written)
        bound = {claim["spec"].get("volumeName"): claim["metadata"]["uid"] for claim in claims}
        volumes = {pv["metadata"]["name"]: pv["spec"].get("claimRef", {}).get("uid") for pv in self._items("pv")}
        assert volumes == bound
        directories = [path.name for path in Path(settings.local_storage_dir).iterdir()]
        assert sorted(name.rpartition("_")[2] for name in directories) == sorted(volumes), directories
        images = sorted(f"{settings.local_storage_dir}/{name}/image" for name in directories)
        assert sorted(loop_devices(self.cluster).values()) == images
        uids = {pod["metadata"]["uid"] for pod in pods}
        assert {path.name for path in (settings.node_dir / "pods").iterdir()} == uids
        points = [point for point in mount_points(str(settings.node_dir)) if "kubernetes.io~csi" in point or "globalmount" in point]
        assert len(points) == len(set(points)) == 2 * len(pods), points
        return True
