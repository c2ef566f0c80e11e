from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dns.make import DOMAIN, HTTP, piece, put, service
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.dns.zone import NOTHING, Name, Srv, Zone, names_of
from tiphys.runtime.key import Key


def test_a_service_with_an_address() -> None:
    names = names_of(service(), [piece(("10.42.0.5", ""), ("10.42.0.6", "host"))])
    assert names == {
        "web.default.svc": Name(("10.43.0.20",), canonical=True),
        "_http._tcp.web.default.svc": Name(services=(Srv(80, "web.default.svc"),)),
        "10-42-0-5.web.default.svc": Name(("10.42.0.5",), canonical=True),
        "host.web.default.svc": Name(("10.42.0.6",), canonical=True),
    }


def test_a_headless_service() -> None:
    names = names_of(service(ip="None"), [piece(("10.42.0.6", "db-1"), ("10.42.0.5", "db-0")), piece(("10.42.0.7", ""))])
    assert names["web.default.svc"] == Name(("10.42.0.5", "10.42.0.6", "10.42.0.7"))
    assert names["db-0.web.default.svc"].addresses == ("10.42.0.5",)
    assert names["_http._tcp.web.default.svc"].services == (
        Srv(8080, "10-42-0-7.web.default.svc"),
        Srv(8080, "db-0.web.default.svc"),
        Srv(8080, "db-1.web.default.svc"),
    )


def test_only_ready_ipv4_endpoints_have_names() -> None:
    pieces = [
        piece(("10.42.0.5", "a"), ready=False),
        piece(("fd00::5", "b"), family="IPv6"),
        piece(("10.42.0.6", "c"), ready=None),
        piece(("10.42.0.7", "not a label")),
    ]
    names = names_of(service(ip="None"), pieces)
    assert names["web.default.svc"].addresses == ("10.42.0.6", "10.42.0.7")
    assert set(names) == {"web.default.svc", "c.web.default.svc", "10-42-0-7.web.default.svc", "_http._tcp.web.default.svc"}


def test_ports_without_a_name_have_no_record() -> None:
    unnamed = core.ServicePort(port=80)
    assert set(names_of(service(ports=[unnamed]), [])) == {"web.default.svc"}
    assert set(names_of(service(ip="None"), [piece(port=discovery.EndpointPort(port=80))])) == {"web.default.svc"}
    udp = core.ServicePort(name="dns", port=53, protocol="UDP")
    assert "_dns._udp.web.default.svc" in names_of(service(ports=[udp, HTTP]), [])


def test_aliases() -> None:
    assert names_of(service(type="ExternalName", ip="", externalName="WWW.Example.org."), []) == {
        "web.default.svc": Name(alias="www.example.org")
    }
    for broken in ("a..b", "x" * 64 + ".org", ".".join(["x" * 60] * 5)):
        assert names_of(service(type="ExternalName", ip="", externalName=broken), []) == {"web.default.svc": NOTHING}


def test_existence_of_names() -> None:
    zone = put(Zone(DOMAIN, "10.43.0.10"), service())
    for empty in (
        "cluster.local",
        "svc.cluster.local",
        "default.svc.cluster.local",
        "_tcp.web.default.svc.cluster.local",
        "pod.cluster.local",
    ):
        assert zone.find(empty) == NOTHING, empty
    for unknown in ("other.svc.cluster.local", "x.web.default.svc.cluster.local", "web.cluster.local", "web.default.cluster.local"):
        assert zone.find(unknown) is None, unknown
    assert zone.owns("cluster.local")
    assert zone.owns("x.cluster.local")
    assert not zone.owns("mycluster.local")
    assert not zone.owns("local")
    put(zone, service("other", namespace="more"))
    zone.put(Key("default", "web"), {})
    assert zone.find("default.svc.cluster.local") is None, "a namespace without Services is no name"
    assert zone.find("web.default.svc.cluster.local") is None


def test_pods_by_address() -> None:
    zone = Zone(DOMAIN)
    assert zone.find("10-42-0-5.default.pod.cluster.local") == Name(("10.42.0.5",))
    assert zone.find("default.pod.cluster.local") == NOTHING
    for wrong in (
        "10-42-0.default.pod",
        "10-42-0-256.default.pod",
        "10.42.0.5.default.pod",
        "a-b-c-d.default.pod",
        "x.10-42-0-5.default.pod",
    ):
        assert zone.find(f"{wrong}.cluster.local") is None, wrong


def test_back_from_addresses() -> None:
    zone = put(Zone(DOMAIN), service(), [piece(("10.42.0.5", ""))])
    put(zone, service("db", ip="None"), [piece(("10.42.0.5", "db-0"))])
    assert zone.reverse("10.43.0.20") == ["web.default.svc.cluster.local"]
    assert zone.reverse("10.42.0.5") == ["10-42-0-5.web.default.svc.cluster.local", "db-0.db.default.svc.cluster.local"]
    zone.put(Key("default", "web"), {})
    assert zone.reverse("10.43.0.20") == []
    assert zone.reverse("10.42.0.5") == ["db-0.db.default.svc.cluster.local"]


def test_reverse_zones() -> None:
    zone = Zone(DOMAIN, ranges=("10.42.0.0/16", "10.43.4.0/22"))
    assert zone.reverse_zone("5.0.42.10.in-addr.arpa") == "42.10.in-addr.arpa"
    assert zone.reverse_zone("42.10.in-addr.arpa") == "42.10.in-addr.arpa"
    assert zone.reverse_zone("1.5.43.10.in-addr.arpa") == "43.10.in-addr.arpa"
    assert zone.reverse_zone("142.10.in-addr.arpa") == ""
    assert zone.reverse_zone("1.0.168.192.in-addr.arpa") == ""


HOSTS = st.lists(st.tuples(st.sampled_from([f"10.42.0.{n}" for n in range(2, 6)]), st.sampled_from(["", "a", "b"])), max_size=4)
CHANGES = st.lists(st.tuples(st.sampled_from(["web", "db"]), st.sampled_from(["10.43.0.20", "None", "gone"]), HOSTS), max_size=10)


@settings(deadline=None)
@given(CHANGES)
def test_changes_lead_where_a_new_zone_would(changes: list[tuple[str, str, list[tuple[str, str]]]]) -> None:
    zone = Zone(DOMAIN)
    last: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for name, ip, hosts in changes:
        last[name] = (ip, hosts)
        zone.put(Key("default", name), {} if ip == "gone" else names_of(service(name, ip=ip), [piece(*hosts)]))
    fresh = Zone(DOMAIN)
    for name, (ip, hosts) in last.items():
        if ip != "gone":
            put(fresh, service(name, ip=ip), [piece(*hosts)])
    inner = ("_names", "_parents", "_by_service")
    assert [getattr(zone, field) for field in inner] == [getattr(fresh, field) for field in inner]
    for number in range(2, 6):
        assert zone.reverse(f"10.42.0.{number}") == fresh.reverse(f"10.42.0.{number}")


def test_the_serial_grows_with_changes_only() -> None:
    zone = put(Zone(DOMAIN), service())
    before = zone.serial
    put(zone, service())
    assert zone.serial == before
    put(zone, service(ip="10.43.0.21"))
    assert zone.serial > before
