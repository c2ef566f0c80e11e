"""The rules as text. `golden.nft` is what nft is given for a small cluster; a person reads the difference when it changes:

python -m tests.unit.proxy.test_rules > tests/unit/proxy/golden.nft
"""

from __future__ import annotations

from pathlib import Path

from tests.unit.proxy.make import only, piece, plan, port, service
from tiphys.api.core import v1 as core
from tiphys.proxy.contents import Contents
from tiphys.proxy.rules import EMPTY, Part, Ranges, base_script, change_script, part_of
from tiphys.runtime.key import Key

GOLDEN = Path(__file__).with_name("golden.nft")
PODS = "10.42.0.0/16"
RANGES = Ranges(PODS, "10.43.0.0/16", "tiphys0", "10.43.0.10")


def small_cluster() -> str:
    config = core.SessionAffinityConfig(clientIP=core.ClientIPConfig(timeoutSeconds=60))
    web = service("web", type="NodePort", ports=[port(node_port=30080)])
    sticky = service("sticky", ip="10.43.0.21", sessionAffinity="ClientIP", sessionAffinityConfig=config)
    local = service("local", ip="10.43.0.22", type="LoadBalancer", ports=[port(node_port=30081)], externalTrafficPolicy="Local")
    local.spec.loadBalancerSourceRanges = ["198.51.100.0/24"]
    local.status.loadBalancer.ingress = [core.LoadBalancerIngress(ip="192.0.2.9")]
    empty = service("empty", ip="10.43.0.23", ports=[port(53, name="dns", protocol="UDP")])
    here, there = piece("10.42.0.5", "10.42.0.6"), piece("10.42.1.7", node="n2")
    contents = Contents()
    parts = {
        Key("default", one.metadata.name): part_of(plan(one, *pieces), PODS)
        for one, pieces in ((web, (here, there)), (sticky, (here,)), (local, (here, there)), (empty, ()))
    }
    contents.change(parts)
    return base_script("tiphys", RANGES) + change_script("tiphys", EMPTY, contents.whole())


def test_the_rules_of_a_small_cluster() -> None:
    assert small_cluster() == GOLDEN.read_text(encoding="utf-8")


def test_without_bridge_filtering_the_node_stands_between_neighbors() -> None:
    (extra,) = set(base_script("t", RANGES, bridged=False).splitlines()) - set(base_script("t", RANGES).splitlines())
    assert extra.split() == f'ct status dnat ip saddr {PODS} oifname "tiphys0" masquerade fully-random'.split()


def test_local_policies_without_local_endpoints_drop_and_without_any_refuse() -> None:
    there = piece("10.42.1.7", node="n2")
    inside = part_of((only(service(internalTrafficPolicy="Local"), there),), PODS)
    assert inside.elements["services", "10.43.0.20 . tcp . 80"] == "drop"
    assert inside.chains == {}
    web = service(type="NodePort", ports=[port(node_port=30080)], externalTrafficPolicy="Local")
    outside = only(web, there)
    assert part_of((outside,), PODS).chains[f"ext-{outside.digest}"][-1] == "drop"
    refused = part_of(plan(web), PODS)
    assert refused.elements == {("services", "10.43.0.20 . tcp . 80"): "goto refuse", ("nodeports", "tcp . 30080"): "goto refuse"}
    assert refused.chains == {}


def test_names_longer_than_a_comment_are_cut() -> None:
    long = service("s" * 63, ports=[port(name="p" * 15)])
    long.metadata.namespace = "n" * 63
    (rule,) = [rule for rules in part_of(plan(long, piece("10.42.0.5", name="p" * 15)), PODS).chains.values() for rule in rules]
    comment = rule.partition('comment "')[2].rstrip('"')
    assert comment.startswith("n" * 63)
    assert len(comment) < 128


def test_nothing_changed_is_nothing_to_do() -> None:
    part = part_of(plan(service(), piece("10.42.0.5")), PODS)
    assert change_script("t", part, part) == ""
    assert change_script("t", EMPTY, Part()) == ""


def test_another_timeout_is_another_set() -> None:
    def sticky(seconds: int) -> Part:
        config = core.SessionAffinityConfig(clientIP=core.ClientIPConfig(timeoutSeconds=seconds))
        return part_of(plan(service(sessionAffinity="ClientIP", sessionAffinityConfig=config), piece("10.42.0.5")), PODS)

    script = change_script("t", sticky(10), sticky(20))
    assert "timeout 20s" in script
    assert "delete set ip t clients-" in script


if __name__ == "__main__":
    print(small_cluster(), end="")
