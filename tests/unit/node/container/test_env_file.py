"""Environment files that containers write: the format, and that nothing but a plain file of the volume is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.container.env_file import MAX_BYTES, EnvFileError, read_inside, value_of

TEXT = """
# a comment
  A='1' # one
B='x=y $A #'\r
C=''
D= 'ignored'
E='first
 second # '
F='last'"""


@pytest.mark.parametrize(
    ("key", "value"),
    [("A", "1"), ("B", "x=y $A #"), ("C", ""), ("D", ""), ("E", "first\n second # "), ("F", "last"), ("G", "")],
)
def test_values_are_what_a_shell_would_find(key: str, value: str) -> None:
    assert value_of(TEXT, key) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A", "at line 1: missing '='"),
        ("\n='x'", "at line 2: empty variable name"),
        ("A ='x'", "at line 1: whitespace before '=' is not allowed"),
        ("A=x", "at line 1: value must be enclosed in single quotes"),
        ("A='x'y", "at line 1: unexpected content after closing quote"),
        ("A='x\ny'z", "at line 2: unexpected content after closing quote"),
        ("A='x\ny", "starting at line 1: unclosed single quote"),
    ],
)
def test_a_line_that_means_nothing_is_named(text: str, said: str) -> None:
    with pytest.raises(EnvFileError, match=said):
        value_of(text, "Z")
    assert value_of(f"Y='1'\n{text}", "Y") == "1", "what comes after the variable does not matter"


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(st.characters(exclude_characters="'\r", exclude_categories=["Cs"]))
    )
)
def test_reads_values_as_they_were_written(values: dict[str, str]) -> None:
    text = "".join(f"{name}='{value}'\n" for name, value in values.items())
    assert {name: value_of(text, name) for name in values} == values


def test_only_plain_files_of_the_volume_are_read(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "deep").mkdir(parents=True)
    (volume / "deep/env").write_text("A='1'")
    (tmp_path / "secret").write_text("A='2'")
    (volume / "out").symlink_to("../secret")
    (volume / "absolute").symlink_to(tmp_path / "secret")
    os.mkfifo(volume / "fifo")
    (volume / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    (volume / "inside").symlink_to("deep/env")
    assert read_inside(volume, "deep/env") == read_inside(volume, "inside") == "A='1'"
    assert read_inside(volume, "none") is None
    assert read_inside(volume, "deep/env/none") is None
    for path in ("out", "absolute", "fifo", "large", "deep", "../secret"):
        with pytest.raises(EnvFileError):
            read_inside(volume, path)
