"""Help texts: every option says what it is, and the defaults they name are those of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec
import pytest

from tiphys.cli.main import VERBS, cli
from tiphys.daemon.settings import ClusterSettings

UNSTATED = {"enable_admission_plugins", "disable_admission_plugins"}
"""Options that add to or take from a list, and have no default of their own."""
WORDED = {"data_dir", "store", "node_name", "healthz_port", "allowed_unsafe_sysctls", "token_auth_file", "requestheader_client_ca_file"}
"""Options whose default depends on the machine or is an empty string: help describes it in words."""


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, f"{path} {name}")


COMMANDS = dict(_commands(cli, "tiphys"))


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_a_sentence_of_help(path: str) -> None:
    command = COMMANDS[path]
    texts = {path: command.help} | {f"{path} {option.opts[-1]}": option.help for option in _options(command) if option.name != "version"}
    assert [name for name, text in texts.items() if not text or not text[0].isupper() or not text.rstrip().endswith(".")] == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_options_names_the_default(verb: str) -> None:
    for option in _options(COMMANDS[f"tiphys {verb}"]):
        default = _default(option.name or "")
        if default is not None:
            assert f"(default {default})" in (option.help or ""), option.name
        elif option.name in WORDED:
            assert "(default: " in (option.help or ""), option.name


def _default(name: str) -> str | None:
    field = next((field for field in msgspec.structs.fields(ClusterSettings) if field.name == name), None)
    if field is None or name in UNSTATED | WORDED:
        return None
    value: Any = field.default
    return f"{value}s" if name in ("request_timeout", "shutdown_delay") else str(value)
