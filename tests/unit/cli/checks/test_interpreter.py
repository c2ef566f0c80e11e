"""`tiphys doctor` and `tools/bootstrap` tell interpreters that are built for speed from others, in the same way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tiphys.cli.checks import interpreter

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("prefix", "flags", "optimized"),
    [
        ("/usr", "-O2 -g", True),
        ("/opt/python", "'--enable-optimizations' '--prefix=/opt/python' -O3", True),
        ("/opt/python", "-O3 -fprofile-use -fprofile-correction", True),
        ("/opt/python", "'--prefix=/opt/python' -O3", False),
        ("/usr/local", "None None", False),
    ],
)
def test_recognizes_optimized_interpreters(prefix: str, flags: str, optimized: bool) -> None:
    assert interpreter.is_optimized(prefix, flags) is optimized


def _python(directory: Path, name: str, *, flags: str) -> None:
    """A Python that is recent, brings venv and says that it was built with some flags."""
    path = directory / name
    path.write_text(f"""#!/bin/sh
case "$2" in *sysconfig*) case "{flags}" in *-fprofile-use*) exit 0 ;; *) exit 1 ;; esac ;; esac
exit 0
""")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("first", "second", "asked", "found"),
    [("-O3", "-fprofile-use", "", "python3.13"), ("-fprofile-use", "-O3", "", "python3"), ("-O3", "-fprofile-use", "python3", "python3")],
)
def test_the_bootstrap_prefers_an_optimized_interpreter(tmp_path: Path, first: str, second: str, asked: str, found: str) -> None:
    _python(tmp_path, "python3", flags=first)
    _python(tmp_path, "python3.13", flags=second)
    script = (ROOT / "tools" / "bootstrap").read_text()
    functions = script[script.index("say()") : script.index("# The packages that are missing")]
    done = subprocess.run(
        ["bash", "-c", f"set -u; {functions} find_python"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / found)
