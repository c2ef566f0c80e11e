"""Regular expressions of schemas: written for Go's RE2, run by Python's `re`.

The languages share most of their syntax. What differs is rewritten: `$` and `\\z` (the end of the text, not before a last line feed), POSIX
classes, Unicode categories, `\\Q...\\E`. Look-around and back-references, which RE2 does not have, are refused as RE2 refuses them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

Pattern = re.Pattern[str]

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7F", "blank": "\\t ", "cntrl": "\\x00-\\x1F\\x7F", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\t\\n\\v\\f\\r ", "upper": "A-Z",
    "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_UNKNOWN_GROUP = re.compile(r"\(\?(?![imsU-]*[:)]|P?<[A-Za-z_])")
_NO_BACKSLASH = frozenset("aAbBCdDEfnpPQrsStvwWxz")


class BadPattern(ValueError):
    """Not a regular expression; the text says why, in the words of Go."""


@lru_cache(maxsize=2048)
def compile_pattern(text: str) -> Pattern:
    """The compiled expression, to be used with `search`; raises BadPattern."""
    try:
        return re.compile(_translated(text), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(f"error parsing regexp: {error}: `{text}`") from None


def _translated(text: str) -> str:
    if found := _UNKNOWN_GROUP.search(text):
        raise BadPattern(f"error parsing regexp: invalid or unsupported Perl syntax: `{text[found.start() : found.start() + 3]}`")
    out: list[str] = []
    position, within = 0, False
    multiline = re.match(r"\(\?[a-zA-Z]*m", text) is not None
    while position < len(text):
        character = text[position]
        if character == "\\":
            piece, position = _escape(text, position, within)
            out.append(piece)
            continue
        if within:
            if text.startswith("[:", position) and (end := text.find(":]", position)) > 0:
                out.append(_posix(text[position + 2 : end]))
                position = end + 2
                continue
            within = character != "]"
            out.append("\\[" if character == "[" else character)
        elif character == "[":
            within = True
            opening = 2 if text.startswith("[^", position) else 1
            out.append(text[position : position + opening])
            position += opening
            if position < len(text) and text[position] == "]":
                out.append("\\]")
                position += 1
            continue
        elif character == "$" and not multiline:
            out.append("\\Z")
        elif text.startswith("(?<", position):
            out.append("(?P<")
            position += 3
            continue
        else:
            out.append(character)
        position += 1
    return "".join(out)


def _posix(name: str) -> str:
    negated = name.startswith("^")
    known = _POSIX.get(name.lstrip("^"))
    if known is None or negated:
        raise BadPattern(f"error parsing regexp: invalid character class range: `[:{name}:]`")
    return known


def _escape(text: str, position: int, within: bool) -> tuple[str, int]:
    """What an escape becomes, and where the text goes on."""
    following = text[position + 1 : position + 2]
    if not following:
        raise BadPattern("error parsing regexp: trailing backslash at end of expression: ``")
    if following == "z":
        return "\\Z", position + 2
    if following == "Q":
        end = text.find("\\E", position + 2)
        end = len(text) if end < 0 else end
        return re.escape(text[position + 2 : end]), min(end + 2, len(text))
    if following in "pP":
        name, end = _category_name(text, position + 2)
        ranges = _category(name.lstrip("^"))
        negated = (following == "P") != name.startswith("^")
        if within and negated:
            raise BadPattern(f"error parsing regexp: invalid character class range: `{text[position:end]}`")
        return (ranges if within else f"[{'^' if negated else ''}{ranges}]"), end
    if following == "x" and text.startswith("{", position + 2):
        end = text.find("}", position)
        try:
            return re.escape(chr(int(text[position + 3 : end], 16))), end + 1
        except (ValueError, OverflowError):
            raise BadPattern(f"error parsing regexp: invalid escape sequence: `{text[position : end + 1]}`") from None
    if following.isalnum() and following not in _NO_BACKSLASH and not (following == "0" and within):
        raise BadPattern(f"error parsing regexp: invalid escape sequence: `\\{following}`")
    return text[position : position + 2], position + 2


def _category_name(text: str, position: int) -> tuple[str, int]:
    if text.startswith("{", position):
        end = text.find("}", position)
        return text[position + 1 : end], end + 1
    return text[position : position + 1], position + 1


@lru_cache(maxsize=64)
def _category(name: str) -> str:
    """The characters of a Unicode category as the inside of a class."""
    if not name or name[0] not in "LMNPSZC" or len(name) > 2:
        raise BadPattern(f"error parsing regexp: invalid character class range: `\\p{{{name}}}`")
    ranges: list[tuple[int, int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)).startswith(name):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
