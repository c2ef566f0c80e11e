"""From plans to nftables, as data: chains with their rules, elements of maps and sets; and the script between two such contents. Pure.

A new connection is looked up once, by (address, protocol, port), in a verdict map, so its cost does not grow with the number of Services:

    services / nodeports --> ext-X (who may come, masquerade) --> svc-X (all endpoints in turn) or loc-X (those of this node)

X is the digest of a Service port, so a change of endpoints touches the chains of that port alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tiphys.proxy.plan import Endpoint, PortPlan

# The bits that kube-proxy uses, so that programs that avoid those avoid these.
MASQUERADE = "0x4000"
REFUSE = "0x8000"
SET_MASQUERADE = f"meta mark set meta mark or {MASQUERADE}"
COMMENT_LIMIT = 120
"""nft takes 128 bytes; a namespace, a name and a port together may be longer."""


class Ranges(NamedTuple):
    """The addresses of the cluster, and the pods' bridge."""

    pods: str
    services: str
    bridge: str
    dns: str


class Part(NamedTuple):
    """Contents of the table besides the fixed rules: those of one Service, or of many together."""

    chains: Mapping[str, tuple[str, ...]] = {}
    """Chain to its rules."""
    sets: Mapping[str, int] = {}
    """Sets that remember clients, to their timeout in seconds."""
    elements: Mapping[tuple[str, str], str] = {}
    """(map or set, key) to value, "" in sets."""


EMPTY = Part()


def part_of(ports: Iterable[PortPlan], pods: str) -> Part:
    """Return the part of the table that the ports of a Service need. `pods` is the pod range."""
    chains: dict[str, tuple[str, ...]] = {}
    sets: dict[str, int] = {}
    elements: dict[tuple[str, str], str] = {}
    for port in ports:
        accesses = {access for _, access in port.frontends}
        if not port.everywhere:
            elements.update((_element(*frontend), "goto refuse") for frontend, _ in port.frontends)
            continue
        local_wanted = (port.inside_local and "inside" in accesses) or (port.outside_local and accesses != {"inside"})
        if not (port.inside_local and accesses == {"inside"}):
            _spread(chains, sets, port, "svc", port.everywhere)
        if local_wanted and port.here:
            _spread(chains, sets, port, "loc", port.here)
        if accesses - {"inside"}:
            chains[f"ext-{port.digest}"] = _outside_rules(port, pods)
        if "balancer" in accesses and port.sources:
            allowed = f"ip saddr != {{ {', '.join(port.sources)} }} drop"
            chains[f"bal-{port.digest}"] = (allowed, f"goto ext-{port.digest}")
        for frontend, access in port.frontends:
            elements[_element(*frontend)] = _verdict(port, access)
        for endpoint in port.reachable:
            # A pod that reaches itself through a Service must see another source than itself, or it answers itself directly.
            elements["hairpins", f"{endpoint.address} . {endpoint.address}"] = ""
    return Part(chains, sets, elements)


def _element(address: str, protocol: str, port: int) -> tuple[str, str]:
    if address:
        return "services", f"{address} . {protocol} . {port}"
    return "nodeports", f"{protocol} . {port}"


def _verdict(port: PortPlan, access: str) -> str:
    if access == "balancer" and port.sources:
        return f"goto bal-{port.digest}"
    if access != "inside":
        return f"goto ext-{port.digest}"
    if not port.inside_local:
        return f"goto svc-{port.digest}"
    # There are endpoints, elsewhere: dropped rather than refused, as the Service as such is not down.
    return f"goto loc-{port.digest}" if port.here else "drop"


def _outside_rules(port: PortPlan, pods: str) -> tuple[str, ...]:
    if not port.outside_local:
        return (SET_MASQUERADE, f"goto svc-{port.digest}")
    return (
        # The policy does not cover clients inside the cluster.
        f"ip saddr {pods} goto svc-{port.digest}",
        f"fib saddr type local {SET_MASQUERADE} goto svc-{port.digest}",
        f"goto loc-{port.digest}" if port.here else "drop",
    )


def _spread(chains: dict[str, tuple[str, ...]], sets: dict[str, int], port: PortPlan, kind: str, endpoints: tuple[Endpoint, ...]) -> None:
    """Add the chain that distributes connections over endpoints in turn."""
    chain = f"{kind}-{port.digest}"
    comment = f'comment "{port.name[:COMMENT_LIMIT]}"'
    if not port.affinity:
        turns = ", ".join(f"{i} : {e.address} . {e.port}" for i, e in enumerate(endpoints))
        chains[chain] = (f"meta l4proto {port.protocol} dnat ip to numgen inc mod {len(endpoints)} map {{ {turns} }} {comment}",)
        return
    names = []
    for endpoint in endpoints:
        digest = hashlib.sha256(f"{chain}/{port.affinity}/{endpoint.address}:{endpoint.port}".encode()).hexdigest()[:12]
        own, clients = f"ep-{digest}", f"clients-{digest}"
        sets[clients] = port.affinity
        chains[own] = (
            f"update @{clients} {{ ip saddr }}",
            f"meta l4proto {port.protocol} dnat ip to {endpoint.address} : {endpoint.port} {comment}",
        )
        names.append((own, clients))
    turns = ", ".join(f"{i} : goto {own}" for i, (own, _) in enumerate(names))
    known = tuple(f"ip saddr @{clients} goto {own}" for own, clients in names)
    chains[chain] = (*known, f"numgen inc mod {len(names)} vmap {{ {turns} }} {comment}")


def base_script(table: str, ranges: Ranges, *, bridged: bool = True) -> str:
    """Return the script that creates the table with its fixed rules, in one transaction with whatever follows.

    `bridged` says whether packets between two pods of this node pass these hooks (br_netfilter). Where they do not, the answer of a
    pod to its neighbor would miss the way back through the translation, so the node puts itself in between.
    """
    pods, services, bridge, dns = ranges
    between = "" if bridged else f'\n    ct status dnat ip saddr {pods} oifname "{bridge}" masquerade fully-random'
    return f"""add table ip {table}
delete table ip {table}
table ip {table} {{
  map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map nodeports {{ type inet_proto . inet_service : verdict; }}
  set hairpins {{ type ipv4_addr . ipv4_addr; }}
  chain refuse {{
    # A destination translation cannot refuse; the mark tells the filter chains to.
    meta mark set meta mark or {REFUSE} accept
  }}
  chain dispatch {{
    ip daddr {services} ip daddr != {dns} ip saddr != {pods} {SET_MASQUERADE}
    ip daddr . meta l4proto . th dport vmap @services
    fib daddr type local ip daddr != {dns} meta l4proto . th dport vmap @nodeports
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
    meta mark & {MASQUERADE} == {MASQUERADE} masquerade fully-random
    ct status dnat ip saddr . ip daddr @hairpins masquerade fully-random{between}
    ip saddr {pods} ip daddr != {pods} ip daddr != {services} oifname != "{bridge}" masquerade fully-random
  }}
  chain deny {{
    # A reset where that is possible: ICMP errors are sent in limited numbers, and not for every packet of this machine's own.
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }}
  chain guard {{
    meta mark & {REFUSE} == {REFUSE} goto deny
  }}
  chain filter_prerouting {{
    type filter hook prerouting priority raw; policy accept;
    # route_localnet makes the kernel believe loopback sources on the bridge. Nobody else may claim to be this machine.
    iifname "{bridge}" ip saddr 127.0.0.0/8 drop
  }}
  chain filter_input {{
    type filter hook input priority filter; policy accept;
    # route_localnet opens this machine's loopback to the bridge; only what a Service has translated may use it.
    iifname "{bridge}" ip daddr 127.0.0.0/8 ct status & dnat != dnat drop
    # The DNS address is for DNS: other servers of this machine that listen on every address are not Services.
    ip daddr {dns} ct state new meta l4proto {{ tcp, udp }} th dport != 53 goto deny
    jump guard
  }}
  chain filter_forward {{
    type filter hook forward priority filter; policy accept;
    jump guard
    # What no Service has translated would leave the machine.
    ip daddr {services} goto deny
  }}
  chain filter_output {{
    type filter hook output priority filter; policy accept;
    jump guard
    ip daddr {services} fib daddr type != local goto deny
  }}
}}
"""


def change_script(table: str, old: Part, new: Part) -> str:
    """Return the commands that turn one set of contents into another; "" when they are equal."""
    lines = [
        f"add set ip {table} {name} {{ type ipv4_addr; flags dynamic, timeout; timeout {timeout}s; }}"
        for name, timeout in new.sets.items()
        if name not in old.sets
    ]
    lines += [f"add chain ip {table} {name}" for name in new.chains if name not in old.chains]
    for name, rules in new.chains.items():
        known = old.chains.get(name)
        if known == rules:
            continue
        if known is not None:
            lines.append(f"flush chain ip {table} {name}")
        lines += [f"add rule ip {table} {name} {rule}" for rule in rules]
    lines += _elements("delete", table, ((key, value) for key, value in old.elements.items() if new.elements.get(key) != value))
    lines += _elements("add", table, ((key, value) for key, value in new.elements.items() if old.elements.get(key) != value))
    # Chains go last, when nothing refers to them any more.
    stale = [name for name in old.chains if name not in new.chains]
    lines += [f"flush chain ip {table} {name}" for name in stale]
    lines += [f"delete chain ip {table} {name}" for name in stale]
    lines += [f"delete set ip {table} {name}" for name in old.sets if name not in new.sets]
    return "\n".join(lines) + "\n" if lines else ""


def _elements(verb: str, table: str, elements: Iterable[tuple[tuple[str, str], str]]) -> list[str]:
    """Return one command per map or set."""
    grouped: dict[str, list[str]] = {}
    for (name, key), value in elements:
        grouped.setdefault(name, []).append(f"{key} : {value}" if value else key)
    return [f"{verb} element ip {table} {name} {{ {', '.join(parts)} }}" for name, parts in grouped.items()]
