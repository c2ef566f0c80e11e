"""Regular expressions that users write, in the syntax of Go's `regexp` package, run by RE2 in time linear in the text.

RE2 and Go share their syntax and their limits (counted repetition up to 1000, no look-around, no back-references). Three differences remain
and are settled here: Go has no `\\C`, limits the nesting of groups and takes only ASCII names for them, and since Go 1.25 takes the long
names of Unicode categories.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from tiphys.api.machinery.cached import cached

MAX_MEMORY = 8 << 20
"""Bytes for one compiled expression, RE2's own default. It bounds the time to compile as well; upstream's limit is near 128 MB."""
_MEMORY = (64 << 10, 1 << 20, MAX_MEMORY)
"""Bytes that an expression is given, the first that it can do with: RE2 uses up what it is given on texts that are made for that."""
MAX_TOGETHER = 8 * MAX_MEMORY
"""Bytes for the different expressions of one definition: a thousand as they are usual, or eight of the largest."""
MAX_LENGTH = 16 << 10
"""Characters of an expression: RE2 takes quadratic time for some classes (`[[:[[:`) before its memory bounds it."""
MAX_NESTING = 999
"""Depth of capturing groups, after Go's limit of 1000 for the height of an expression."""
_TOKEN = re.compile(
    r"\\Q.*?(?:\\E|\Z)|(?P<category>\\[pP]\{(?P<inverse>\^?)(?P<name>[^}]{0,64})\})|\\(?P<escape>.)|\(\?P?<(?P<group>[^>=!]{0,128})>|(?P<other>[\[\]()])",
    re.DOTALL,
)
_CLASS = re.compile(r"\[\^?\]?")
_CATEGORIES = {
    "any": "Any", "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "privateuse": "Co", "surrogate": "Cs", "letter": "L",
    "lowercaseletter": "Ll", "modifierletter": "Lm", "otherletter": "Lo", "titlecaseletter": "Lt", "uppercaseletter": "Lu", "mark": "M",
    "combiningmark": "M", "spacingmark": "Mc", "enclosingmark": "Me", "nonspacingmark": "Mn", "number": "N", "decimalnumber": "Nd",
    "digit": "Nd", "letternumber": "Nl", "othernumber": "No", "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc",
    "dashpunctuation": "Pd", "closepunctuation": "Pe", "finalpunctuation": "Pf", "initialpunctuation": "Pi", "otherpunctuation": "Po",
    "openpunctuation": "Ps", "symbol": "S", "currencysymbol": "Sc", "modifiersymbol": "Sk", "mathsymbol": "Sm", "othersymbol": "So",
    "separator": "Z", "lineseparator": "Zl", "paragraphseparator": "Zp", "spaceseparator": "Zs",
}  # fmt: skip
_SETS = {"ascii": r"\x00-\x7F", "lc": r"\p{Lu}\p{Ll}\p{Lt}", "casedletter": r"\p{Lu}\p{Ll}\p{Lt}", "assigned": r"\pL\pM\pN\pP\pS\pZ\pC"}


class BadPattern(ValueError):
    """Not a regular expression; the text gives the reason."""


class PatternTooLarge(BadPattern):
    """An expression that takes more memory than there is for it."""


class Pattern:
    """A compiled expression, which takes up to `memory` bytes."""

    __slots__ = ("_search", "memory")

    def __init__(self, search: Any, memory: int) -> None:
        self._search = search
        self.memory = memory

    def search(self, text: str) -> bool:
        """Return whether the expression matches anywhere in the text."""
        return self._search(text) is not None


class Patterns:
    """The expressions of one definition, whose memory has a bound in sum; as every one does that fails, since the attempt takes time."""

    def __init__(self) -> None:
        self._known: dict[str, Pattern] = {}
        self._left = MAX_TOGETHER

    def compile(self, text: str) -> Pattern:
        """The compiled expression; raises BadPattern."""
        known = self._known.get(text)
        if known is not None:
            return known
        if self._left <= 0:
            raise PatternTooLarge(_TOO_LARGE)
        try:
            pattern = compile_pattern(text)
        except PatternTooLarge:
            self._left -= MAX_MEMORY
            raise
        self._left -= pattern.memory
        self._known[text] = pattern
        return pattern


_TOO_LARGE = "error parsing regexp: expression too large"


@lru_cache(maxsize=len(_MEMORY))
def _options(memory: int) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options


@cached(heaviest=MAX_MEMORY, weight=4 * MAX_MEMORY, weigh=lambda text, pattern: pattern.memory)
def compile_pattern(text: str) -> Pattern:
    """The compiled expression; raises BadPattern."""
    if len(text) > MAX_LENGTH:
        raise BadPattern("error parsing regexp: pattern too large")
    import re2  # It takes 3 MB, which a server without patterns does without.

    checked = _checked(text)
    for memory in _MEMORY:
        try:
            return Pattern(re2.compile(checked, _options(memory)).search, memory)
        except re2.error as error:
            reason = error.args[0]
            detail = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            if "too large" not in detail:
                raise BadPattern(f"error parsing regexp: {detail}") from None
        except UnicodeEncodeError:
            raise BadPattern("error parsing regexp: invalid UTF-8") from None
    raise PatternTooLarge(_TOO_LARGE)


def _checked(text: str) -> str:
    """The expression as RE2 takes it; raises BadPattern for what only Go refuses."""
    out: list[str] = []
    position = depth = 0
    within = False
    for token in _TOKEN.finditer(text):
        if token.start() < position:
            continue
        out.append(text[position : token.start()])
        piece, position = token[0], token.end()
        if token["category"] is not None:
            piece = _category(token, within)
        elif token["escape"] == "C":
            raise BadPattern("error parsing regexp: invalid escape sequence: `\\C`")
        elif within:
            if piece == "[" and text.startswith("[:", token.start()) and (end := text.find(":]", position)) > 0:
                piece, position = text[token.start() : end + 2], end + 2
            elif token["other"] is None and token["escape"] is None and token["group"] is not None:
                piece, position = "(", token.start() + 1
            within = piece != "]"
        elif piece == "[":
            within = True
            opening = _CLASS.match(text, token.start())
            assert opening is not None
            piece, position = opening[0], opening.end()
        elif token["group"] is not None:
            if not token["group"].isascii():
                raise BadPattern(f"error parsing regexp: invalid named capture: `{piece}`")
            depth += 1
        elif piece == "(":
            depth += not text.startswith("?", position)
        elif piece == ")":
            depth -= 1
        if depth > MAX_NESTING:
            raise BadPattern("error parsing regexp: expression nests too deeply")
        out.append(piece)
    out.append(text[position:])
    return "".join(out)


def _category(token: re.Match[str], within: bool) -> str:
    """A Unicode class by the names that RE2 knows. Case, spaces, `_` and `-` in a long name do not matter."""
    name = token["name"]
    plain = re.sub(r"[ _-]", "", name).lower()
    negated = (token[0][1] == "P") != bool(token["inverse"])
    if plain in _SETS:
        if within and negated:
            raise BadPattern(f"error parsing regexp: invalid character class range: `{token[0]}`")
        return _SETS[plain] if within else f"[{'^' if negated else ''}{_SETS[plain]}]"
    known = _CATEGORIES.get(plain) or "_".join(part.capitalize() for part in re.split(r"[ _-]", name))
    return f"\\{'P' if negated else 'p'}{{{known}}}"
