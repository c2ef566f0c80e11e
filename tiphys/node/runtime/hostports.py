"""Removal of leftovers of the reference port mapping plugin in the tables `nat`: chains of lost pods, and its own once they are empty.

The plugin removes a pod's chain itself when the pod is stopped through the runtime; the rest it leaves forever. Other programs may
use it too, so only chains that mention our subnets go, the shared ones only when nobody's pod is left in them, and a table only when
nothing at all is.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterable

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_POD_CHAIN = "CNI-DN-"
_SHARED_CHAINS = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ")


def remove(subnets: Iterable[str]) -> None:
    """Remove the port mappings of pods in these subnets, and then unused chains. Blocks."""
    listed = list(subnets)
    for family, command in (("ip", "iptables"), ("ip6", "ip6tables")):
        tool, nft = shutil.which(command, path=_PATH), shutil.which("nft", path=_PATH)
        if tool is None or nft is None:
            continue
        # nft looks without touching; iptables would create the table by looking.
        table = _run(nft, "list", "table", family, "nat")
        if not table:
            continue
        if "CNI-HOSTPORT-" in table:
            # -w waits for the lock that other users of iptables hold.
            _remove_chains([tool, "-w", "5", "-t", "nat"], listed)
        if not any(line.strip() and line.strip() not in "{}" for line in _body(_run(nft, "list", "table", family, "nat"))):
            _run(nft, "delete", "table", family, "nat")


def pod_chains(rules: list[str], subnets: list[str]) -> set[str]:
    """The chains of pods in these subnets, out of the rules as `iptables -S` prints them."""
    chains = set()
    for rule in rules:
        words = shlex.split(rule)
        if words[0] == "-A" and words[1].startswith(_POD_CHAIN) and any(subnet in words for subnet in subnets):
            chains.add(words[1])
    return chains


def deletions(rules: list[str], chains: set[str]) -> list[list[str]]:
    """The arguments that delete these chains: first the rules that jump to them from elsewhere, then their own, then they themselves."""
    jumps = [shlex.split(rule) for rule in rules if rule.startswith("-A ")]
    outside = [["-D", *words[1:]] for words in jumps if words[1] not in chains and words[-2:-1] == ["-j"] and words[-1] in chains]
    ordered = sorted(chains)
    return [*outside, *(["-F", chain] for chain in ordered), *(["-X", chain] for chain in ordered)]


def _remove_chains(iptables: list[str], subnets: list[str]) -> None:
    rules = _run(*iptables, "-S").splitlines()
    for arguments in deletions(rules, pod_chains(rules, subnets)):
        _run(*iptables, *arguments)
    rules = _run(*iptables, "-S").splitlines()
    if not any(rule.startswith(f"-N {_POD_CHAIN}") for rule in rules):
        present = {chain for chain in _SHARED_CHAINS if f"-N {chain}" in rules}
        for arguments in deletions(rules, present):
            _run(*iptables, *arguments)


def _body(table: str) -> list[str]:
    """Return the content of a listed table besides its own braces and base chains without rules."""
    lines = [line.strip() for line in table.splitlines() if not line.startswith("#")]
    return [
        line
        for line in lines[1:-1]
        if not line.startswith(("chain PREROUTING", "chain INPUT", "chain OUTPUT", "chain POSTROUTING", "type nat"))
    ]


def _run(*command: str) -> str:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
