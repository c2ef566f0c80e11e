"""Help texts: every option says what it is, and the defaults they name are those of the settings."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from tiphys.cli import options
from tiphys.cli.main import VERBS, cli
from tiphys.settings.option import text_of


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
def test_help_of_options_shows_the_default_of_their_field(verb: str) -> None:
    """But for lists that are added to or taken from another, which have none."""
    bounds = {one.option.flag: one for one in options.VERBS.get(verb, options.VERBS["up"])}
    for option in _options(COMMANDS[f"tiphys {verb}"]):
        one = bounds.get(option.opts[0])
        if one is None:
            continue
        shown = text_of(one.field.default, is_duration=one.option.is_duration)
        if one.option.default:
            assert f"(default: {one.option.default})" in (option.help or ""), option.name
        elif shown:
            assert f"(default {shown})" in (option.help or ""), option.name
        else:
            assert option.name in {"enable_admission_plugins", "disable_admission_plugins"}


def test_help_of_examples() -> None:
    helps = {option.opts[0]: option.help or "" for option in _options(COMMANDS["tiphys up"])}
    assert helps["--secure-port"] == "HTTPS port of the API server (default 6443)."
    assert "in flight (default 400). Priority" in helps["--max-requests-inflight"]
    assert "(default: the host name)" in helps["--node-name"]
    assert "(default 60s)" in helps["--request-timeout"]
