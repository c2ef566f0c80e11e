"""`docs/enforcement.md` from the declaration. `python tools/enforcement_table.py` writes the page, a test compares it."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.api.enforcement.entry import Entry, Section
from tiphys.api.enforcement.table import ENTRIES, SECTIONS

_HEAD = """# What each field does

This page is made from `tiphys/api/enforcement/` by `python tools/enforcement_table.py`, and tests hold the declaration against the types,
the modules and a running API server: every field of a pod, a claim, a volume, a class or driver of
storage, a Service or a policy is here, alone or with the field that it is part of.

| effect | meaning |
|---|---|
| enforced | the modules named act on it |
| refused | an object with it is not created; the message says why |
| dropped | it is silently removed from new objects, as upstream does with features that are off by default |
| warned | it is accepted, and creating the object gives a warning in these words after the field's path |
| informational | for people and programs to read; nothing in Kubernetes acts on it either |

"""


def page() -> str:
    """The text of the page."""
    counts = {
        effect: sum(entry.effect == effect for entry in ENTRIES) for effect in ("enforced", "refused", "dropped", "warned", "informational")
    }
    total = ", ".join(f"{number} {effect}" for effect, number in counts.items())
    return f"{_HEAD}Of {len(ENTRIES)} entries: {total}.\n" + "".join(_section(section) for section in SECTIONS)


def _section(section: Section) -> str:
    rows = "".join(_row(*group) for group in _groups(section))
    return f"\n## {section.title}\n\n| field | effect | where, or what it says |\n|---|---|---|\n{rows}"


def _groups(section: Section) -> Iterator[list[Entry]]:
    """Neighbors that differ in the field alone share a row."""
    group: list[Entry] = []
    for entry in section.entries:
        if group and (entry.case or entry.keys or _likeness(entry) != _likeness(group[0]) or group[0].case or group[0].keys):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _likeness(entry: Entry) -> tuple[object, ...]:
    return entry.owner, entry.effect, entry.by, entry.text


def _row(*entries: Entry) -> str:
    first = entries[0]
    owner = first.owner.__name__
    fields = ", ".join(f"`{entry.field}`" for entry in entries)
    meant = f" `[{first.keys}]`" if first.keys else ""
    meant += f" ({first.case})" if first.case else ""
    modules = ", ".join(f"`{module.removeprefix('tiphys.')}`" for module in first.by)
    return f"| {owner} {fields}{meant} | {first.effect} | {'. '.join(filter(None, (modules, first.text)))} |\n"
