"""Help that loads little, and what doctor says."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from tiphys.testing.cluster import Cluster, run

HEAVY = ("aiohttp", "asyncio", "cryptography", "grpc", "msgspec", "numpy", "pyroute2", "rich", "sqlite3", "ssl", "uvloop", "yaml")


def test_help_loads_the_command_line_and_nothing_else() -> None:
    script = (
        "import json, sys\n"
        "from tiphys.cli.main import cli\n"
        "try:\n    cli(['--help'], prog_name='tiphys')\nexcept SystemExit: pass\n"
        "json.dump(sorted(sys.modules), sys.stderr)"
    )
    done = run(sys.executable, "-c", script)
    loaded = json.loads(done.err)
    assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []
    assert {name for name in loaded if name.startswith("tiphys.")} == {"tiphys.cli", "tiphys.cli.main"}
    for verb in ("up", "down", "status", "doctor", "token", "snapshot", "images", "kubectl"):
        assert re.search(rf"^  {verb} ", done.out, re.MULTILINE)


def test_doctor_shows_every_check_and_leaves_nothing(slot: Cluster) -> None:
    def machine() -> tuple[set[str], str, str]:
        mounts = Path("/proc/self/mountinfo").read_text()
        return (
            set(os.listdir(slot.data_dir)),
            "tiphys_check" if "overlay-" in mounts else "",
            run("nft", "list", "tables").out,
        )

    before = machine()
    ports = ["--secure-port", str(slot.port), "--kubelet-port", str(slot.kubelet_port), "--healthz-port", str(slot.healthz_port)]
    ranges = ["--cluster-cidr", slot.pod_range, "--service-cluster-ip-range", slot.service_range]
    done = slot.tiphys("doctor", *ports, *ranges)
    assert "This machine is ready for a cluster." in done.out
    for check in ("root", "containerd", "runc", "CNI plugins", "nft", "cgroups", "namespaces", "overlayfs", "bridge", "veth", "nftables"):
        assert re.search(rf"^ok    {check} ", done.out, re.MULTILINE), check
    for check in (
        "disk",
        "memory",
        "clock",
        "inotify",
        "API port",
        "kubelet port",
        "health port",
        "DNS port",
        "pod range",
        "service range",
    ):
        assert re.search(rf"^(ok  |warn)  {check} ", done.out, re.MULTILINE), check
    after = machine()
    assert after[:2] == before[:2]
    assert "tiphys_check" not in after[2]
