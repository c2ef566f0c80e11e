"""Addresses and ranges of addresses as the API accepts them (KEP-4858: IP/CIDR validation improvements).

Two strengths exist. Old fields (`legacy`) take any spelling that stands for one address only; new fields (`canonical`) take the one
spelling that everybody would print. Spellings that parsers disagree about, such as leading zeros, are refused by both.
"""

from __future__ import annotations

import ipaddress

from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.errors import invalid
from tiphys.api.rules.basics import Errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NO_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NO_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


@cached()
def parse_ip(text: str) -> Address | None:
    """The address in a text, leading zeros included, or None. IPv4 within IPv6 is the IPv4 address."""
    if "%" in text or len(text) > 64:
        return None
    try:
        address = ipaddress.ip_address(_without_zeros(text))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@cached()
def parse_cidr(text: str) -> Network | None:
    """The range in a text, or None."""
    head, slash, bits = text.rpartition("/")
    address = parse_ip(head) if slash else None
    if address is None or not (bits.isascii() and bits.isdigit() and len(bits) < 5):
        return None
    length = int(bits) - 96 if address.version == 4 and ":" in head else int(bits)
    if not 0 <= length <= address.max_prefixlen:
        return None
    return ipaddress.ip_network((address, length), strict=False)


def family_of(text: str) -> str:
    """`IPv4`, `IPv6`, or "" for a text that is neither an address nor a range."""
    address = parse_cidr(text) if "/" in text else parse_ip(text)
    return f"IPv{address.version}" if address is not None else ""


def legacy_ip(errors: Errors, path: str, text: str) -> None:
    """An address in a field that has existed for long."""
    if parse_ip(text) is None:
        errors.append(invalid(path, text, _NO_IP))
    elif message := _ambiguous_ip(text):
        errors.append(invalid(path, text, message))


def canonical_ip_messages(text: str) -> list[str]:
    """Return the mistakes in an address that has to be in canonical form."""
    address = parse_ip(text)
    if address is None:
        return [_NO_IP]
    if message := _ambiguous_ip(text):
        return [message]
    return [] if text == str(address) else [f'must be in canonical form ("{address}")']


def legacy_cidr(errors: Errors, path: str, text: str) -> None:
    """A range in a field that has existed for long."""
    if parse_cidr(text) is None:
        errors.append(invalid(path, text, _NO_CIDR))
    elif message := _ambiguous_cidr(text):
        errors.append(invalid(path, text, message))


def canonical_cidr(errors: Errors, path: str, text: str) -> None:
    """A range that has to be spelled as everybody spells it."""
    before = len(errors)
    legacy_cidr(errors, path, text)
    if len(errors) == before and text != str(parse_cidr(text)):
        errors.append(invalid(path, text, f'must be in canonical form ("{parse_cidr(text)}")'))


def ip_warnings(path: str, text: str) -> list[str]:
    """Warn of an address that is accepted but not in canonical form."""
    address = parse_ip(text)
    if address is None:
        return []
    if _ambiguous_ip(text):
        return [f'{path}: non-standard IP address "{text}" is invalid: use "{address}"']
    if address.version == 6 and str(address) != text:
        return [f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format ("{address}")']
    return []


def cidr_warnings(path: str, text: str) -> list[str]:
    """Warn of a range that is accepted but not in canonical form."""
    network = parse_cidr(text)
    if network is None:
        return []
    head, _, bits = text.rpartition("/")
    address = parse_ip(head)
    warnings = []
    if address != network.network_address:
        single = f"{address}/{network.max_prefixlen}"
        warnings.append(f'{path}: CIDR value "{text}" is ambiguous in this context (should be "{network}" or "{single}"?)')
    if _ambiguous_ip(head) or bits != str(int(bits)):
        warnings.append(f'{path}: non-standard CIDR value "{text}" is invalid: use "{network}"')
    if not warnings and network.version == 6 and text != str(network):
        warnings.append(f'{path}: IPv6 CIDR value "{text}" should be in RFC 5952 canonical format ("{network}")')
    return warnings


def _without_zeros(text: str) -> str:
    """Old software reads 010.0.0.1 as 10.0.0.1, which Python refuses."""
    head, colon, tail = text.rpartition(":")
    if "." not in tail:
        return text
    parts = tail.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        return text
    return f"{head}{colon}{'.'.join(str(int(part)) for part in parts)}"


def _ambiguous_ip(text: str) -> str:
    tail = text.rpartition(":")[2]
    if "." in tail and _without_zeros(text) != text:
        return "must not have leading 0s"
    if ":" in text and (address := parse_ip(text)) is not None and address.version == 4:
        return "must not be an IPv4-mapped IPv6 address"
    return ""


def _ambiguous_cidr(text: str) -> str:
    head, _, bits = text.rpartition("/")
    message = _ambiguous_ip(head)
    if message.startswith("must not have leading") or bits != str(int(bits)):
        return "must not have leading 0s in IP or prefix length"
    if message:
        return "must not have an IPv4-mapped IPv6 address"
    network = parse_cidr(text)
    if network is not None and network.network_address != parse_ip(head):
        return "must not have bits set beyond the prefix length"
    return ""
