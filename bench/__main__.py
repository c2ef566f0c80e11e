"""Run the benchmarks one after the other, print one table, and write everything as JSON under bench/out/.

python -m bench [NAME ...]
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"
ALL = {
    "store": "store.py",
    "api": "api.py",
    "memory": "memory.py",
    "metrics": "metrics.py",
    "steps": "steps.py",
    "scheduler": "scheduler.py",
    "cluster": "cluster.py",
    "workloads": "workloads.py",
    "storage": "storage.py",
}
"""Name to script; each takes `--json FILE`."""
NEEDS_ROOT = frozenset(("cluster", "storage"))


def main(names: list[str]) -> int:
    """Run those that are named, or all; returns the number of failures."""
    OUT.mkdir(exist_ok=True)
    failed = []
    for name in names or list(ALL):
        script = HERE / ALL[name]
        if not script.exists():
            continue
        print(f"== {name}", flush=True)
        if name in NEEDS_ROOT and os.geteuid() != 0:
            print("   needs root: not run")
            continue
        command = [sys.executable, "-m", f"bench.{script.stem}", "--json", str(OUT / f"{name}.json")]
        done = subprocess.run(command, cwd=HERE.parent, check=False)
        if done.returncode:
            failed.append(name)
    summary = {path.stem: json.loads(path.read_text()) for path in sorted(OUT.glob("*.json")) if path.stem in ALL}
    summary["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}
    (OUT / "all.json").write_text(json.dumps(summary, indent=2) + "\n")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in ALL]
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(ALL)}")
    sys.exit(main(sys.argv[1:]))
