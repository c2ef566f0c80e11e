"""Credential providers: real programs that are asked for logins, and their configuration."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.node.pulls.keyring import lookup
from tiphys.node.pulls.provider_config import Provider, ProviderError, Variable, read_providers
from tiphys.node.pulls.providers import CredentialProviders

VERSION = "credentialprovider.kubelet.k8s.io/v1"
GOOD: dict[str, object] = {"name": "login", "matchImages": ["*.test"], "defaultCacheDuration": "10m", "apiVersion": VERSION}


def program(directory: Path, answer: str = "", *, name: str = "login") -> Path:
    """A provider that counts how often it runs and answers with the image's name as password."""
    path = directory / name
    path.write_text(
        textwrap.dedent(f"""\
        #!/usr/bin/env python3
        import json, os, sys
        request = json.load(sys.stdin)
        with open({str(directory / "calls")!r}, "a") as calls:
            calls.write(request["image"] + " " + " ".join(sys.argv[1:]) + os.environ.get("MORE", "") + "\\n")
        answer = {{"apiVersion": request["apiVersion"], "kind": "CredentialProviderResponse", "cacheKeyType": "Image",
                   "auth": {{request["image"].split("/")[0]: {{"username": "u", "password": request["image"]}}}}}}
        {answer or "pass"}
        print(json.dumps(answer))
        """)
    )
    path.chmod(0o755)
    return path


def providers(directory: Path, **changes: object) -> CredentialProviders:
    provider = Provider("login", ("*.test",), "10m", VERSION, **changes)  # type: ignore[arg-type]
    return CredentialProviders([provider], directory, LoopClock())


async def passwords(asked: CredentialProviders, image: str) -> list[str]:
    return [one.password for one in lookup(image, await asked.entries(image))]


def calls(directory: Path) -> list[str]:
    path = directory / "calls"
    return path.read_text().splitlines() if path.exists() else []


async def test_a_program_is_asked_once_for_each_image_that_it_fits(tmp_path: Path) -> None:
    program(tmp_path)
    asked = providers(tmp_path, args=("a",), env=(Variable("MORE", "!"),))
    assert await passwords(asked, "r.test/a:1") == ["r.test/a:1"]
    assert await passwords(asked, "r.test/a:1") == ["r.test/a:1"]
    assert await passwords(asked, "r.example/a:1") == []
    assert calls(tmp_path) == ["r.test/a:1 a!"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('answer["cacheKeyType"] = "Registry"', 1),
        ('answer["cacheKeyType"] = "Global"', 1),
        ('answer["cacheDuration"] = "0s"', 3),
        ('answer["cacheDuration"] = "1h"', 2),
    ],
)
async def test_answers_are_kept_as_they_say(tmp_path: Path, answer: str, expected: int) -> None:
    program(tmp_path, answer)
    asked = providers(tmp_path)
    for image in ("r.test/a", "r.test/b", "r.test/a"):
        await asked.entries(image)
    assert len(calls(tmp_path)) == expected


@pytest.mark.parametrize(
    "answer",
    ["sys.exit(3)", "answer = 'secret'", 'answer["kind"] = "Other"', 'answer["apiVersion"] = "v9"', 'answer["cacheKeyType"] = "x"'],
)
async def test_a_program_that_fails_supplies_nothing_and_its_answer_is_not_in_the_log(
    tmp_path: Path, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    program(tmp_path, answer)
    assert await passwords(providers(tmp_path), "r.test/a") == []
    (record,) = caplog.records
    assert record.message == "no logins from a credential provider"
    assert "secret" not in str(record.__dict__)


def write(path: Path, *entries: dict[str, object], kind: str = "CredentialProviderConfig") -> Path:
    path.write_text(json.dumps({"apiVersion": "kubelet.config.k8s.io/v1", "kind": kind, "providers": entries}))
    return path


def test_a_directory_of_files_is_read_in_order(tmp_path: Path) -> None:
    for name in ("login", "other"):
        program(tmp_path, name=name)
    config = tmp_path / "config"
    config.mkdir()
    write(config / "b.yaml", {**GOOD, "name": "other"})
    write(config / "a.json", GOOD)
    (config / "notes.txt").write_text("x")
    assert [one.name for one in read_providers(config, tmp_path)] == ["login", "other"]


def test_all_mistakes_of_a_configuration_are_told(tmp_path: Path) -> None:
    program(tmp_path)
    path = write(
        tmp_path / "c.json", GOOD, GOOD, {"name": "../x", "apiVersion": "v9", "defaultCacheDuration": "soon"}, {**GOOD, "name": "gone"}
    )
    with pytest.raises(ProviderError) as caught:
        read_providers(path, tmp_path)
    for part in (
        'providers[1].name: "login" is there already',
        'providers[2].name: "../x" must be the name of a program',
        'providers[2].apiVersion: "v9" is not one of',
        "providers[2].matchImages: at least one is required",
        'providers[2].defaultCacheDuration: "soon" is not a duration',
        f'providers[3].name: there is no program "gone" in {tmp_path}',
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "c.yaml"), ("kind: Other\napiVersion: v1\n", "Other of v1 is no CredentialProviderConfig"), ('{"x": 1}', "unknown field `x`")],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ProviderError, match=message):
        read_providers(path, tmp_path)
