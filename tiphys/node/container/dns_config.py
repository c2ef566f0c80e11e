"""`/etc/resolv.conf` and `/etc/hosts` of a pod. Pure. See "DNS for Services and Pods" and "Adding entries to Pod /etc/hosts"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tiphys.api.core import v1 as core

MAX_SERVERS = 3
MAX_SEARCHES = 32


class Resolver(msgspec.Struct, frozen=True):
    """The contents of a resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> Resolver:
    """Read a resolv.conf; the last `search` line counts, as for the C library."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = tuple(word.rstrip(".") or "." for word in words[1:])
        elif words[0] == "options":
            options = tuple(words[1:])
    return Resolver(tuple(servers), searches, options)


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def pod_resolver(pod: core.Pod, host: Resolver, *, cluster_dns: Sequence[str], domain: str) -> Resolver:
    """Return the pod's resolver: its dnsPolicy and dnsConfig applied to the host's resolver and the cluster's."""
    policy = pod.spec.dnsPolicy or "ClusterFirst"
    if policy == "ClusterFirst" and pod.spec.hostNetwork:
        policy = "Default"
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or not cluster_dns:
        base = host
    else:
        own = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain)
        base = Resolver(tuple(cluster_dns), _unique((*own, *host.searches)), _options(host.options, ("ndots:5",)))
    config = pod.spec.dnsConfig
    if config is not None:
        added = tuple(f"{option.name}:{option.value}" if option.value else option.name for option in config.options)
        base = Resolver(
            _unique((*base.servers, *config.nameservers)), _unique((*base.searches, *config.searches)), _options(base.options, added)
        )
    return Resolver(base.servers[:MAX_SERVERS], base.searches[:MAX_SEARCHES], base.options)


def _options(first: Iterable[str], over: Iterable[str]) -> tuple[str, ...]:
    """Options where a later one replaces an earlier one of the same name."""
    merged: dict[str, str] = {}
    for option in (*first, *over):
        merged[option.partition(":")[0]] = option
    return tuple(merged.values())


def hostname(pod: core.Pod, domain: str) -> tuple[str, str]:
    """The pod's hostname (at most 63 characters) and its domain, "" unless it has a subdomain."""
    if pod.spec.hostnameOverride:
        return pod.spec.hostnameOverride, ""
    name = (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")
    if not pod.spec.subdomain:
        return name, ""
    return name, f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{domain}"


def hosts_file(pod: core.Pod, ips: Sequence[str], *, domain: str, host_file: str = "") -> str:
    """The /etc/hosts of a pod: its own names and the aliases; a pod on the host's network starts from the host's file."""
    if pod.spec.hostNetwork:
        lines = ["# Kubernetes-managed hosts file (host network).", host_file.rstrip("\n")]
    else:
        lines = [
            "# Kubernetes-managed hosts file.",
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::0\tip6-localnet",
            "fe00::0\tip6-mcastprefix",
            "fe00::1\tip6-allnodes",
            "fe00::2\tip6-allrouters",
        ]
        name, zone = hostname(pod, domain)
        names = f"{name}.{zone}\t{name}" if zone else name
        lines += [f"{ip}\t{names}" for ip in ips]
    if pod.spec.hostAliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((alias.ip, *alias.hostnames)) for alias in pod.spec.hostAliases]
    return "\n".join(lines) + "\n"
