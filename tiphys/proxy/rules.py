"""From a plan to nftables, as data: chains with their rules, and the elements of maps and sets; and the script between two such states.

Packets are looked up once, by (address, protocol, port), in a verdict map, so the cost does not grow with the number of Services. Each
Service port has a chain that sends connections to its endpoints in turn (`numgen inc`); a change of endpoints touches that chain alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tiphys.proxy.plan import Endpoint, Plan, ServicePort

MASQUERADE_MARK = 0x4000


class Ranges(NamedTuple):
    """The addresses of the cluster, and the pods' bridge."""

    pods: str
    services: str
    bridge: str


class State(NamedTuple):
    """What the table holds besides its fixed part."""

    chains: Mapping[str, tuple[str, ...]]
    """Chain to its rules."""
    sets: Mapping[str, int]
    """Sets that remember clients, to their timeout in seconds."""
    elements: Mapping[str, Mapping[str, str]]
    """Map or set to its elements: key to value, "" in sets."""


EMPTY = State({}, {}, {"services": {}, "nodeports": {}, "hairpins": {}})


def state_of(plan: Plan) -> State:
    """The table's contents for a plan."""
    chains: dict[str, tuple[str, ...]] = {}
    sets: dict[str, int] = {}
    services: dict[str, str] = {}
    nodeports: dict[str, str] = {}
    for frontend, (port, external) in plan.frontends.items():
        endpoints = port.external if external else port.cluster
        if endpoints:
            chain = port.chain(external=external)
            if chain not in chains:
                _add_port(chains, sets, port, chain, endpoints, external=external)
            verdict = f"goto {chain}"
        else:
            verdict = "goto refuse"
        if frontend.address:
            services[f"{frontend.address} . {frontend.protocol} . {frontend.port}"] = verdict
        else:
            nodeports[f"{frontend.protocol} . {frontend.port}"] = verdict
    hairpins = {f"{address} . {address}": "" for address in plan.hairpins}
    return State(chains, sets, {"services": services, "nodeports": nodeports, "hairpins": hairpins})


def _add_port(
    chains: dict[str, tuple[str, ...]],
    sets: dict[str, int],
    port: ServicePort,
    chain: str,
    endpoints: tuple[Endpoint, ...],
    *,
    external: bool,
) -> None:
    comment = f'comment "{port.name}"'
    mark = [f"meta mark set meta mark or {MASQUERADE_MARK:#x}"] if external and not port.preserve_source else []
    if not port.affinity:
        turns = ", ".join(f"{i} : {e.address} . {e.port}" for i, e in enumerate(endpoints))
        chains[chain] = (*mark, f"meta l4proto {port.protocol} dnat ip to numgen inc mod {len(endpoints)} map {{ {turns} }} {comment}")
        return
    names = []
    for endpoint in endpoints:
        digest = hashlib.sha256(f"{chain}/{endpoint.address}:{endpoint.port}".encode()).hexdigest()[:12]
        own, clients = f"ep-{digest}", f"clients-{digest}"
        sets[clients] = port.affinity
        chains[own] = (
            f"update @{clients} {{ ip saddr }}",
            f"meta l4proto {port.protocol} dnat ip to {endpoint.address} : {endpoint.port} {comment}",
        )
        names.append((own, clients))
    turns = ", ".join(f"{i} : goto {own}" for i, (own, _) in enumerate(names))
    known = tuple(f"ip saddr @{clients} goto {own}" for own, clients in names)
    chains[chain] = (*mark, *known, f"numgen inc mod {len(names)} vmap {{ {turns} }} {comment}")


def base_script(table: str, ranges: Ranges) -> str:
    """Make the table anew with its fixed part, in one transaction with whatever follows."""
    return f"""add table ip {table}
delete table ip {table}
table ip {table} {{
  map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map nodeports {{ type inet_proto . inet_service : verdict; }}
  set hairpins {{ type ipv4_addr . ipv4_addr; }}
  chain refuse {{
    # A destination translation cannot refuse; the mark tells the filter chains to.
    meta mark set meta mark or 0x8000 accept
  }}
  chain dispatch {{
    ip daddr {ranges.services} ip saddr != {ranges.pods} meta mark set meta mark or {MASQUERADE_MARK:#x}
    ip daddr . meta l4proto . th dport vmap @services
    fib daddr type local meta l4proto . th dport vmap @nodeports
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump dispatch
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    jump dispatch
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & {MASQUERADE_MARK:#x} == {MASQUERADE_MARK:#x} masquerade
    ct status dnat ip saddr . ip daddr @hairpins masquerade
    ip saddr {ranges.pods} ip daddr != {ranges.pods} ip daddr != {ranges.services} oifname != "{ranges.bridge}" masquerade
  }}
  chain guard {{
    meta mark & 0x8000 == 0x8000 meta l4proto tcp reject with tcp reset
    meta mark & 0x8000 == 0x8000 reject with icmp port-unreachable
  }}
  chain filter_input {{
    type filter hook input priority filter; policy accept;
    # Ports of this machine's loopback are opened to the bridge by route_localnet; keep pods out of them.
    iifname "{ranges.bridge}" ip daddr 127.0.0.0/8 ct status & dnat != dnat drop
    jump guard
  }}
  chain filter_forward {{
    type filter hook forward priority filter; policy accept;
    jump guard
    # What no Service has translated would leave the machine.
    ip daddr {ranges.services} reject with icmp port-unreachable
  }}
  chain filter_output {{
    type filter hook output priority filter; policy accept;
    jump guard
    ip daddr {ranges.services} fib daddr type != local reject with icmp port-unreachable
  }}
}}
"""


def change_script(table: str, old: State, new: State) -> str:
    """The commands that turn one state into another; "" when they are the same."""
    lines: list[str] = []
    for name, timeout in new.sets.items():
        if name not in old.sets:
            lines.append(f"add set ip {table} {name} {{ type ipv4_addr; flags dynamic, timeout; timeout {timeout}s; }}")
    fresh = [name for name in new.chains if name not in old.chains]
    lines += [f"add chain ip {table} {name}" for name in fresh]
    for name, rules in new.chains.items():
        known = old.chains.get(name)
        if known == rules:
            continue
        if known is not None:
            lines.append(f"flush chain ip {table} {name}")
        lines += [f"add rule ip {table} {name} {rule}" for rule in rules]
    for name, elements in new.elements.items():
        before = old.elements.get(name, {})
        gone = [key for key, value in before.items() if elements.get(key) != value]
        lines += _elements("delete", table, name, ((key, before[key]) for key in gone))
        lines += _elements("add", table, name, ((key, value) for key, value in elements.items() if before.get(key) != value))
    # Chains go last, when nothing refers to them any more.
    stale = [name for name in old.chains if name not in new.chains]
    lines += [f"flush chain ip {table} {name}" for name in stale]
    lines += [f"delete chain ip {table} {name}" for name in stale]
    lines += [f"delete set ip {table} {name}" for name in old.sets if name not in new.sets]
    return "\n".join(lines) + "\n" if lines else ""


def _elements(verb: str, table: str, name: str, elements: Iterable[tuple[str, str]]) -> list[str]:
    parts = [f"{key} : {value}" if value else key for key, value in elements]
    return [f"{verb} element ip {table} {name} {{ {', '.join(parts)} }}"] if parts else []
