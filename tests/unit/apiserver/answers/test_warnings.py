"""Warning headers stay within what clients and proxies take."""

from __future__ import annotations

from tiphys.api.machinery.sink import MAX_WARNING, MAX_WARNINGS
from tiphys.apiserver.answers.render import warning_headers


def texts(headers: object) -> list[str]:
    assert isinstance(headers, list)
    return [value.removeprefix('299 - "').removesuffix('"') for _, value in headers]


def test_few_warnings_are_whole() -> None:
    long = "a" * (MAX_WARNINGS - 1)
    assert texts(warning_headers([long, "b", "b", ""])) == [long, "b"]


def test_many_warnings_are_cut_and_bounded() -> None:
    sent = texts(warning_headers([f"{index:05}{'a' * 1000}" for index in range(50_000)]))
    assert [len(text) for text in sent] == [MAX_WARNING] * (MAX_WARNINGS // MAX_WARNING)
    assert sent[0].startswith("00000")
    assert sent[-1].startswith("00015")


def test_letters_count_and_not_their_spelling() -> None:
    assert texts(warning_headers(['"' * MAX_WARNINGS])) == ['\\"' * MAX_WARNINGS]
