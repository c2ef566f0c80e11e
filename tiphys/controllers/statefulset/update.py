"""Pods of a StatefulSet to replace by ones of another revision ("StatefulSets: Rolling Updates"). Pure.

The highest ordinal goes first, and never more than maxUnavailable pods are missing because of an update. A pod that is not ready costs
nothing, so it does not have to wait for the others; thus an update or a rollback goes ahead by itself where a revision never worked.
"""

from __future__ import annotations

from collections.abc import Set

from tiphys.api.helpers.pods import is_finished
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import revision_of
from tiphys.controllers.statefulset.members import Members, Removal, is_broken, is_running_and_ready, is_terminating


def outdated(members: Members, leaving: Set[str]) -> list[Removal]:
    """Return the pods that an update replaces now, the highest ordinal first; those in `leaving` (uids) are deleted already."""
    if not members.rolling:
        return []
    stays = {index for index, pod in members.replicas.items() if members.is_available(pod) and pod.metadata.uid not in leaving}
    allowed = members.max_unavailable - (members.size - len(stays))
    result = []
    for index, pod in members.descending():
        if pod.metadata.uid in leaving or is_terminating(pod):
            continue
        if stuck(members, index, pod):
            result.append(Removal(pod, unchanged=True))
        elif allowed > 0 and index >= members.partition and revision_of(pod) != members.update and not is_finished(pod):
            result.append(Removal(pod))
            allowed -= 1
    return result


def stuck(members: Members, index: int, pod: SlimPod) -> bool:
    """Return whether a pod that is not ready should be replaced at once, because it is not of the revision that it should have.

    One of neither revision was made by an update that has been given up. With OrderedReady one of the current revision is replaced out of
    order only when it is broken; otherwise it may recover, and its turn comes.
    """
    if not members.rolling or is_running_and_ready(pod) or is_terminating(pod) or is_finished(pod):
        return False
    revision = revision_of(pod)
    if revision not in (members.current, members.update):
        return True
    return index >= members.partition and revision != members.update and (not members.ordered or is_broken(pod))
