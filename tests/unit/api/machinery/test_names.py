"""Names, keys and values."""

from __future__ import annotations

import pytest

from tiphys.api.machinery import names


@pytest.mark.parametrize("value", ["a", "a-b", "a.b.c", "1", "0-0.x", "a" * 253])
def test_subdomains(value: str) -> None:
    assert names.dns_subdomain(value) == ""


@pytest.mark.parametrize("value", ["", "A", "-a", "a-", "a..b", "a_b", "a b", "a\n", ".a", "a.", "ä"])
def test_other_subdomains(value: str) -> None:
    assert names.dns_subdomain(value).startswith("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters")


def test_the_message_that_kubectl_users_know() -> None:
    assert names.dns_label("Web") == (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
        "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    )
    assert names.dns_label("a.b") == "must not contain dots"
    assert names.dns_label("a" * 64) == "must be no more than 63 characters"
    assert names.dns_subdomain("a" * 254) == "must be no more than 253 characters"


@pytest.mark.parametrize("value", ["a", "A_b.c-d", "example.com/Name", "1"])
def test_keys(value: str) -> None:
    assert names.qualified_name(value) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "name part must be non-empty"),
        ("/a", "prefix part must be non-empty"),
        ("a/b/c", "a valid label key must consist of"),
        ("Ex/b", "prefix part a lowercase RFC 1123 subdomain"),
        ("a/", "name part must be non-empty"),
        ("x" * 64, "name part must be no more than 63 bytes"),
        ("-a", "name part must consist of alphanumeric characters"),
    ],
)
def test_other_keys(value: str, said: str) -> None:
    assert said in names.qualified_name(value)


def test_values() -> None:
    assert names.label_value("") == names.label_value("a_B.1") == ""
    assert names.label_value("-") != ""
    assert names.label_value("x" * 64) == "must be no more than 63 bytes"


def test_ports_keys_variables_and_segments() -> None:
    assert names.port_name_messages("http-2") == ()
    assert names.port_name_messages("80") == ("must contain at least one letter (a-z)",)
    assert len(names.port_name_messages("-A--much-too-long-name-")) == 4
    assert names.config_key("a.b_C-1") == ""
    assert names.config_key("..a").endswith("must not start with '..'")
    assert names.config_key("a/b") != ""
    assert names.env_var_name("ODD name!") == ""
    assert names.env_var_name("a=b") != ""
    assert names.env_var_name("") != ""
    assert names.path_segment("system:node") == ""
    assert names.path_segment("a/b%") == "may not contain '/'; may not contain '%'"
    assert names.path_segment("..") == "may not be '..'"


def test_prefixes_may_end_with_a_hyphen() -> None:
    assert names.prefixed(names.dns_label, "web-") == ""
    assert names.prefixed(names.dns_label, "Web-") != ""


def test_monstrous_texts_are_answered_quickly_and_not_kept() -> None:
    monster = "a" * 200_000 + "!"
    assert "must be no more than 253 characters" in names.dns_subdomain(monster)
    assert "must be no more than 63 bytes" in names.label_value(monster)
    assert names.qualified_name(monster) != ""
