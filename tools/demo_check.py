"""Asks the demo through its NodePort until all three pods have answered, and says what to do next.

python tools/demo_check.py COMMAND, where COMMAND is how tiphys is called here.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

from tiphys.daemon.settings import default_data_dir

URL = "http://127.0.0.1:30080/"
PODS = 3
SECONDS = 30.0


def ask() -> str:
    """The name of the pod that answered."""
    with urllib.request.urlopen(URL, timeout=5) as response:
        return str(response.headers["X-Pod"])


def suggestions(tiphys: str, environment: Mapping[str, str]) -> str:
    """Commands that reach this cluster as they stand, also from a shell whose KUBECONFIG names another one."""
    directory = environment.get("TIPHYS_DATA_DIR", "")
    if environment.get("KUBECONFIG"):
        directory = directory or str(default_data_dir())
    option = f" --data-dir {shlex.quote(directory)}" if directory else ""
    ask = "run ask -q --rm -it --restart=Never --image=tiphys.local/busybox:1 -- wget -qO- http://demo.default.svc.cluster.local/"
    return f"""  curl -i {URL}
  {tiphys} kubectl{option} get pods,services -o wide
  {tiphys} kubectl{option} {ask}
  {tiphys} kubectl{option} delete pod -l app=demo          they are replaced
  {tiphys} kubectl{option} apply -f examples/site/site.yaml
  {tiphys} kubectl{option} apply -f examples/storage/storage.yaml      pods that keep their data
  {tiphys} status{option}
  make down                stop; make down PURGE=1 removes every trace"""


def main(tiphys: str) -> int:
    answered: dict[str, int] = {}
    trouble = ""
    deadline = time.monotonic() + SECONDS
    while len(answered) < PODS and time.monotonic() < deadline:
        try:
            pod = ask()
        except (urllib.error.URLError, OSError) as error:
            trouble = str(error)
            time.sleep(0.2)
        else:
            answered[pod] = answered.get(pod, 0) + 1
    for pod, count in sorted(answered.items()):
        print(f"  {count} answers from {pod}")
    if len(answered) < PODS:
        said = trouble or "only from those above"
        print(f"{URL} does not answer from {PODS} pods ({said}). Look at: {tiphys} status", file=sys.stderr)
        return 1
    print(f"\nThe demo answers from {PODS} pods in turn. What to do next:\n\n{suggestions(tiphys, os.environ)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "tiphys"))
