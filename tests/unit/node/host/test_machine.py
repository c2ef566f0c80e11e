"""Facts of the machine."""

from __future__ import annotations

from tiphys.node.host.machine import meminfo


def test_meminfo() -> None:
    assert meminfo("MemTotal:  100 kB\nHugePages_Total: 3\nbad\n") == {"MemTotal": 102400, "HugePages_Total": 3}
