"""Checks of kernel features for pods and Services: namespaces, overlayfs, network links, and the nftables features of the proxy's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tiphys.cli.checks import trial
from tiphys.cli.checks.result import CheckResult, find_program
from tiphys.daemon.settings import ClusterSettings

_RULES = {
    "nat": "chain n { type nat hook prerouting priority -100; }; chain o { type nat hook output priority -100; }",
    "numgen": "chain n { type nat hook prerouting priority -100; dnat to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }; }",
    "fib": "chain n { type filter hook prerouting priority 0; fib daddr type local accept; }",
    "verdict maps": "map m { type ipv4_addr . inet_service : verdict; }; chain n { ip daddr . th dport vmap @m; }",
    "masquerade": "chain n { type nat hook postrouting priority 100; ct status dnat masquerade; }",
    "reject": "chain n { type filter hook forward priority 0; reject with icmp port-unreachable; }",
    "timeouts": "set s { type ipv4_addr; flags dynamic, timeout; timeout 9s; }; chain n { update @s { ip saddr }; }",
}
_MODULES = {"bridge": "bridge", "veth": "veth", "overlayfs": "overlay"}


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    answers = _try_all(settings)
    namespaces = [name for name in answers if name.endswith(" namespace")]
    for name in namespaces:
        if answers[name]:
            fix = "use a kernel with namespaces; in a container: start it with --privileged"
            yield CheckResult(name, "fail", f"unavailable: {answers[name]}", fix)
            return
    yield CheckResult("namespaces", "ok", ", ".join(name.removesuffix(" namespace") for name in namespaces))
    if answers.get("overlayfs"):
        message = f"unavailable in {settings.data_dir}: images will be copied, which is slow and takes disk space"
        yield CheckResult("overlayfs", "warn", message, "choose a directory on ext4 or xfs with --data-dir, or run modprobe overlay")
    else:
        yield CheckResult("overlayfs", "ok", "works")
    for name in ("bridge", "veth"):
        yield _required(name, answers.get(name, "not tested"), f"modprobe {_MODULES[name]}")
    if "nftables" in answers:
        yield _nftables(answers)


def _required(name: str, problem: str, fix: str) -> CheckResult:
    if problem:
        return CheckResult(name, "fail", f"not supported by the kernel: {problem}", fix)
    return CheckResult(name, "ok", "works")


def _nftables(answers: dict[str, str]) -> CheckResult:
    if not answers["nftables"]:
        return CheckResult("nftables", "ok", f"works, with {', '.join(_RULES)}")
    broken = [name for name in _RULES if answers.get(f"nftables {name}")]
    problem = f"rules with {', '.join(broken)} are rejected" if broken else "rules are rejected"
    fix = "modprobe -a nf_tables nft_chain_nat nft_numgen nft_fib_ipv4 nft_masq nft_reject_ipv4; if that fails, use a kernel with them"
    return CheckResult("nftables", "fail", f"{problem}: {answers['nftables']}", fix)


def _try_all(settings: ClusterSettings) -> dict[str, str]:
    trials: dict[str, trial.Trial] = {"overlayfs": _overlay(settings.dir), "bridge": trial.link("bridge"), "veth": trial.link("veth")}
    program = find_program("nft")
    if program is None:
        return trial.in_namespaces(trials)
    trials["nftables"] = trial.nft(program, "".join(_table(name) for name in _RULES))
    answers = trial.in_namespaces(trials)
    if answers.get("nftables"):
        # Something was rejected; only now is it worth the time to find out what.
        answers |= trial.in_namespaces({f"nftables {name}": trial.nft(program, _table(name)) for name in _RULES})
    return answers


def _table(name: str) -> str:
    return f"table ip tiphys_check_{name.replace(' ', '_')} {{ {_RULES[name]}; }}\n"


def _overlay(directory: Path) -> trial.Trial:
    def run() -> str:
        from tiphys.daemon.host import overlay_works

        place = directory
        while not place.exists():
            place = place.parent
        return "" if overlay_works(place) else "mount failed"

    return run
