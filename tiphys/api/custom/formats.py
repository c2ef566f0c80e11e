"""The string formats that schemas may demand; a format that is not listed here demands nothing."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

from tiphys.api.machinery.names import dns_label, dns_subdomain

MAX_DURATION = 1000
"""Characters of a duration."""
_UNPRINTABLE = re.compile(r"[\x00- \x7f]")
_HEX = "[0-9a-fA-F]"
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?)*\.?", re.ASCII)
_DURATION = re.compile(r"[-+]?((\d+(\.\d*)?|\.\d+)\s*[A-Za-zµμ]+\s*)+|[-+]?0")
_UNITS = frozenset(
    (
        *("ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w"),
        *("nano", "nanos", "micro", "micros", "milli", "millis", "second", "seconds", "sec", "secs", "minute", "minutes", "min", "mins"),
        *("hour", "hours", "hr", "hrs", "day", "days", "week", "weeks", "wk", "wks", "nanosecond", "nanoseconds", "microsecond"),
        *("microseconds", "millisecond", "milliseconds"),
    )
)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")
_RGB = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
_CARD = re.compile(
    r"(4[0-9]{12}([0-9]{3})?|5[1-5][0-9]{14}|6(011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(0[0-5]|[68][0-9])[0-9]{11}|(2131|1800|35\d{3})\d{11})"
)


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _uuid(version: str = "") -> Callable[[str], bool]:
    third = f"{version}{_HEX}{{3}}" if version else f"{_HEX}{{4}}"
    fourth = f"[89abAB]{_HEX}{{3}}" if version in ("4", "5") else f"{_HEX}{{4}}"
    return _matches(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{third}-?{fourth}-?{_HEX}{{12}}")


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return fits


def _cidr(text: str) -> object:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isdecimal():
        raise ValueError(text)
    return ipaddress.ip_network(f"{ipaddress.ip_address(address)}/{bits}", strict=False)


def _uri(text: str) -> bool:
    """Return whether a text can stand in a request line: an absolute URI or an absolute path."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if not text or _UNPRINTABLE.search(text):
        return False
    return text.startswith("/") or bool(parts.scheme and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*", parts.scheme) and text[-1:] != ":")


def _email(text: str) -> bool:
    address = re.fullmatch(r"(?:[^<>]*<)?([^<>\s]+)>?", text.strip())
    if address is None or ("<" in text) != text.rstrip().endswith(">"):
        return False
    local, at, domain = address[1].rpartition("@")
    return bool(at and local and domain) and re.fullmatch(r'("[^"]*"|[^\s@"(),:;<>\[\]\\]+)', local) is not None and ".." not in local


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _date(text: str) -> object:
    if len(text) != 10:
        raise ValueError(text)
    return date.fromisoformat(text)


def _datetime(text: str) -> bool:
    if _DATETIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text[:19].replace(" ", "T").replace("t", "T"))
    except ValueError:
        return False
    return True


def _duration(text: str) -> bool:
    if len(text) > MAX_DURATION or _DURATION.fullmatch(text.strip()) is None:
        return False
    return all(unit in _UNITS for unit in re.findall(r"[A-Za-zµμ]+", text))


def _isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if re.fullmatch(r"[0-9]{9}[0-9Xx]", digits) is None:
        return False
    return sum((10 if one in "Xx" else int(one)) * (10 - index) for index, one in enumerate(digits)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    return re.fullmatch(r"[0-9]{13}", digits) is not None and sum(int(one) * (3 if i % 2 else 1) for i, one in enumerate(digits)) % 10 == 0


def _card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if _CARD.fullmatch(digits) is None:
        return False
    total = 0
    for index, one in enumerate(reversed(digits)):
        value = int(one) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _rgb(text: str) -> bool:
    match = _RGB.fullmatch(text)
    return match is not None and all(int(part) <= 255 for part in match.groups())


_FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(f"{_HEX}{{24}}"),
    "uri": _uri,
    "email": _email,
    "hostname": lambda text: len(text) <= 255 and _HOSTNAME.fullmatch(text) is not None,
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _parses(_cidr),
    "mac": _matches(f"({_HEX}{{2}}([:-]{_HEX}{{2}}){{5,7}}|{_HEX}{{2}}([:-]{_HEX}{{2}}){{19}}|{_HEX}{{4}}(\\.{_HEX}{{4}}){{2,3}})"),
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4"),
    "uuid5": _uuid("5"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches(f"#?({_HEX}{{3}}|{_HEX}{{6}})"),
    "rgbcolor": _rgb,
    "byte": _base64,
    "password": lambda _: True,
    "date": _parses(_date),
    "duration": _duration,
    "datetime": _datetime,
    "k8sshortname": lambda text: not dns_label(text),
    "k8slongname": lambda text: not dns_subdomain(text),
}

_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def is_known(format_: str, type_: str) -> bool:
    """Return whether the format means something for values of the type."""
    if type_ in ("", "string"):
        return format_.replace("-", "") in _FORMATS
    return format_ in _NUMBERS.get(type_, ())


def checker(format_: str) -> Callable[[str], bool] | None:
    """Return the check for a format, None for one that demands nothing."""
    return _FORMATS.get(format_.replace("-", ""))
