"""Rules for names, keys and label values.

Every rule is a cached function from the text to its mistake: "" for none, otherwise the sentence that clients of the
API know. Where a text can break several rules at once, `*_messages` lists them and the plain function joins them with "; ".
The rules are those of "Object Names and IDs" and "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")

__all__ = [
    "c_identifier",
    "config_key",
    "dns_1035_label",
    "dns_label",
    "dns_label_messages",
    "dns_subdomain",
    "dns_subdomain_messages",
    "env_var_name",
    "http_header_name",
    "label_value",
    "label_value_messages",
    "path_segment",
    "percent",
    "port_name_messages",
    "port_number",
    "prefixed",
    "qualified_name",
    "qualified_name_messages",
    "search_path_messages",
    "wildcard_dns_subdomain",
]

_CACHE = 16384
_CACHED_LENGTH = 320


def _cached(rule: Callable[[str], ResultT]) -> Callable[[str], ResultT]:
    """Remember answers for texts of ordinary length: long ones are wrong anyway and would fill the memory."""
    return _Answers(rule).__getitem__


class _Answers(dict[str, ResultT]):
    """Answers of a rule. A look-up of a known one takes no call: validation asks for a dozen names of every object."""

    def __init__(self, rule: Callable[[str], ResultT]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, value: str) -> ResultT:
        answer = self._rule(value)
        if len(value) <= _CACHED_LENGTH:
            if len(self) >= _CACHE:
                self.clear()
            self[value] = answer
        return answer


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_SEARCH_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH = _SEARCH_LABEL + r"(\." + _SEARCH_LABEL + ")*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_WILDCARD = r"\*\." + _SUBDOMAIN
_ENV = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_HEADER = "[-A-Za-z0-9]+"
_PERCENT = "[0-9]+%"

# Possessive or not, these are linear in practice: the inner classes do not overlap with what follows them except at the last character.
_label = re.compile(_LABEL).fullmatch
_subdomain = re.compile(_SUBDOMAIN).fullmatch
_search = re.compile(_SEARCH).fullmatch
_dns_1035 = re.compile(_DNS_1035).fullmatch
_key = re.compile(_KEY).fullmatch
_value = re.compile(_VALUE).fullmatch
_wildcard = re.compile(_WILDCARD).fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch
_identifier = re.compile(_IDENTIFIER).fullmatch
_header = re.compile(_HEADER).fullmatch
_percent = re.compile(_PERCENT).fullmatch
_port_charset = re.compile("[-a-z0-9]+").fullmatch
_port_letter = re.compile("[a-z]").search
_printable = re.compile("[ -<>-~]*").fullmatch


def _regex_message(message: str, pattern: str, *examples: str) -> str:
    listed = " or ".join(f"'{example}', " for example in examples)
    return (
        f"{message} (e.g. {listed}regex used for validation is '{pattern}')"
        if examples
        else f"{message} (regex used for validation is '{pattern}')"
    )


def _max_length(limit: int) -> str:
    return f"must be no more than {limit} characters"


# Labels count in bytes, other names in characters.
_MOST_PREFIX = "must be no more than 253 bytes"
_SUBDOMAIN_WRONG = _regex_message(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_SEARCH_WRONG = _regex_message(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SEARCH,
    "example.com",
)
_LABEL_WRONG = _regex_message(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_DNS_1035_WRONG = _regex_message(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    _DNS_1035,
    "my-name",
    "abc-123",
)
_KEY_SAID = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_KEY_WRONG = _regex_message(_KEY_SAID, _KEY, "MyName", "my.name", "123-abc")
_VALUE_WRONG = _regex_message(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_WILDCARD_WRONG = _regex_message(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_CONFIG_KEY_WRONG = _regex_message(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"
)
_IDENTIFIER_WRONG = _regex_message(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
    _IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)
_HEADER_WRONG = _regex_message("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")
_PERCENT_WRONG = _regex_message("a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%")


@_cached
def dns_subdomain_messages(value: str) -> tuple[str, ...]:
    """Lower case letters, digits, `-` and `.`, at most 253 characters: the name of most objects."""
    wrong = []
    if len(value) > 253:
        wrong.append(_max_length(253))
    if not _subdomain(value):
        wrong.append(_SUBDOMAIN_WRONG)
    return tuple(wrong)


@_cached
def search_path_messages(value: str) -> tuple[str, ...]:
    """A DNS subdomain that may have underscores: a search path of a resolver ("KEP-4427: Relaxed DNS search string validation")."""
    wrong = []
    if len(value) > 253:
        wrong.append(_max_length(253))
    if not _search(value):
        wrong.append(_SEARCH_WRONG)
    return tuple(wrong)


@_cached
def dns_label_messages(value: str) -> tuple[str, ...]:
    """Lower case letters, digits and `-`, at most 63 characters: namespaces, containers, volumes."""
    wrong = []
    if len(value) > 63:
        wrong.append(_max_length(63))
    if not _label(value):
        wrong.append("must not contain dots" if _subdomain(value) else _LABEL_WRONG)
    return tuple(wrong)


@_cached
def dns_1035_label_messages(value: str) -> tuple[str, ...]:
    """Return the mistakes in a DNS label that must start with a letter."""
    wrong = []
    if len(value) > 63:
        wrong.append(_max_length(63))
    if not _dns_1035(value):
        wrong.append(_DNS_1035_WRONG)
    return tuple(wrong)


@_cached
def qualified_name_messages(value: str) -> tuple[str, ...]:
    """A label key: an optional DNS subdomain and `/`, then a name of at most 63 characters."""
    wrong: list[str] = []
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        message = f"a valid label key {_KEY_WRONG} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return (message,)
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    elif prefix:
        wrong += [f"prefix part {message.replace(_max_length(253), _MOST_PREFIX)}" for message in dns_subdomain_messages(prefix)]
    if not name:
        wrong.append("name part must be non-empty")
    elif len(name.encode()) > 63:
        wrong.append("name part must be no more than 63 bytes")
    if not _key(name):
        wrong.append(f"name part {_KEY_WRONG}")
    return tuple(wrong)


@_cached
def label_value_messages(value: str) -> tuple[str, ...]:
    """A label value: empty, or letters, digits, `-`, `_`, `.`, at most 63 characters."""
    wrong = []
    if len(value.encode()) > 63:
        wrong.append("must be no more than 63 bytes")
    if not _value(value):
        wrong.append(_VALUE_WRONG)
    return tuple(wrong)


@_cached
def port_name_messages(value: str) -> tuple[str, ...]:
    """An IANA service name: at most 15 of lower case letters, digits and single hyphens, with at least one letter."""
    wrong = []
    if len(value) > 15:
        wrong.append(_max_length(15))
    if not _port_charset(value):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _port_letter(value):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in value:
        wrong.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        wrong.append("must not begin or end with a hyphen")
    return tuple(wrong)


def dns_subdomain(value: str) -> str:
    return "; ".join(dns_subdomain_messages(value))


def dns_label(value: str) -> str:
    return "; ".join(dns_label_messages(value))


def dns_1035_label(value: str) -> str:
    return "; ".join(dns_1035_label_messages(value))


def qualified_name(value: str) -> str:
    return "; ".join(qualified_name_messages(value))


def label_value(value: str) -> str:
    return "; ".join(label_value_messages(value))


def wildcard_dns_subdomain(value: str) -> str:
    """`*.` and a DNS subdomain."""
    if len(value) > 253:
        return _max_length(253)
    return "" if _wildcard(value) else _WILDCARD_WRONG


def path_segment(value: str) -> str:
    """A name that may stand in a URL: RBAC objects and a few others ask for no more than that."""
    if value in (".", ".."):
        return f"may not be '{value}'"
    return "; ".join(f"may not contain '{char}'" for char in ("/", "%") if char in value)


def _parent_directory(value: str) -> str:
    if value in (".", ".."):
        return f"must not be '{value}'"
    return "must not start with '..'" if value.startswith("..") else ""


@_cached
def config_key(value: str) -> str:
    """A key of a ConfigMap or a Secret, which becomes a file name: at most 253 characters, nothing that climbs out of a directory."""
    wrong = []
    if len(value) > 253:
        wrong.append(_max_length(253))
    if not _config_key(value):
        wrong.append(_CONFIG_KEY_WRONG)
    if climbs := _parent_directory(value):
        wrong.append(climbs)
    return "; ".join(wrong)


@_cached
def env_var_name(value: str) -> str:
    """Any printable ASCII except `=` ("Allow almost all printable ASCII characters in environment variables")."""
    if not value:
        return "environment variable name must be non-empty"
    if not _printable(value):
        return "a valid environment variable name must consist only of printable ASCII characters other than '='"
    return ""


def c_identifier(value: str) -> str:
    return "" if _identifier(value) else _IDENTIFIER_WRONG


def http_header_name(value: str) -> str:
    return "" if _header(value) else _HEADER_WRONG


def percent(value: str) -> str:
    return "" if _percent(value) else _PERCENT_WRONG


def port_number(value: int) -> str:
    return "" if 1 <= value <= 65535 else "must be between 1 and 65535, inclusive"


def prefixed(rule: Callable[[str], str], value: str) -> str:
    """The rule applied to a `generateName`: a prefix may end with a hyphen, since letters and digits follow.

    The character before the hyphen is not looked at, as upstream's rule has it.
    """
    return rule(value[:-2] + "a" if len(value) > 1 and value.endswith("-") else value)
