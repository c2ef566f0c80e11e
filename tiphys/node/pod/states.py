"""The life of a pod's worker as a table: which state follows which event. Anything that is not in it is a bug, reported with its history.

    syncing ------ deleted | missing | over | given_up ------> terminating
    terminating -- deleted | missing: again, with less grace -> terminating
    terminating -- stopped ----------------------------------> terminated
    terminated --- deleted | missing ------------------------> removing
    removing ----- removed ----------------------------------> removed
    removed ------ missing ----------------------------------> gone

`deleted`: the API shows a deletion timestamp. `missing`: the API does not know the pod any more (or never did). `over`: nothing runs and
nothing will start again. `given_up`: the pod failed as a whole. `stopped`: no container and no sandbox is alive. `removed`: nothing of the
pod is left on the node, and the API has been told to forget it.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

State = Literal["syncing", "terminating", "terminated", "removing", "removed", "gone"]
Event = Literal["deleted", "missing", "over", "given_up", "stopped", "removed"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("syncing", "deleted"): "terminating",
    ("syncing", "missing"): "terminating",
    ("syncing", "over"): "terminating",
    ("syncing", "given_up"): "terminating",
    ("terminating", "deleted"): "terminating",
    ("terminating", "missing"): "terminating",
    ("terminating", "given_up"): "terminating",
    ("terminating", "stopped"): "terminated",
    ("terminated", "deleted"): "removing",
    ("terminated", "missing"): "removing",
    ("removing", "deleted"): "removing",
    ("removing", "missing"): "removing",
    ("removing", "removed"): "removed",
    ("removed", "deleted"): "removed",
    ("removed", "missing"): "gone",
}


class BadTransition(Exception):
    """An event that cannot happen in a state; the message tells what led there."""


class Life:
    """The state of one worker and how it came to it."""

    def __init__(self, who: str, state: State = "syncing") -> None:
        self.who = who
        self.state: State = state
        self.story: deque[str] = deque(maxlen=20)

    def fire(self, event: Event) -> bool:
        """Follow the table; True when the state is another one now. Raises BadTransition."""
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            raise BadTransition(f"{self.who}: {event} while {self.state}; before that: {', '.join(self.story) or 'nothing'}")
        self.story.append(f"{self.state} --{event}--> {after}")
        changed, self.state = after != self.state, after
        return changed
