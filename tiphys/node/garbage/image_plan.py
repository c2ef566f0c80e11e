"""Selection of the images that may go ("Garbage Collection", unused containers and images). Pure.

Images in use by containers or by pods that may still start any, and pinned ones, are no candidates at all. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

LOCAL = "tiphys.local/"
"""Prefix of images that were built on this machine: no registry could give them back."""


class ImagePolicy(msgspec.Struct, frozen=True):
    """Limits of image garbage collection."""

    min_age: float = 120.0
    """Seconds for which an image stays after it came, when room is made on the disk."""
    max_age: float = 0.0
    """Seconds after its last use in which an image goes whatever the disk's use; 0 for never."""
    high: int = 85
    """Percentage of the disk in use from which on images go; 100 for never."""
    low: int = 80
    """Percentage of the disk in use at which no more images go."""


class ImageUse(msgspec.Struct, frozen=True):
    """Times of one image."""

    detected: float = 0.0
    used: float = 0.0
    """The last look at which a pod used it; 0 for none."""


class HeldImage(msgspec.Struct, frozen=True):
    """Image that the runtime holds."""

    id: str
    names: tuple[str, ...] = ()
    """Tags and digests."""
    size: int = 0
    pinned: bool = False


class Candidate(msgspec.Struct, frozen=True):
    """Image that nobody uses."""

    image: HeldImage
    use: ImageUse


def used_ids(images: Iterable[HeldImage], references: Collection[str]) -> set[str]:
    """Return the ids of the images that are referred to, by id, tag or digest."""
    return {image.id for image in images if image.id in references or any(name in references for name in image.names)}


def observe(images: Iterable[HeldImage], used: Collection[str], before: Mapping[str, ImageUse] | None, now: float) -> dict[str, ImageUse]:
    """Return the times of all images. With `before` None, at the first look of a node, the images count as having been there forever."""
    known = before or {}
    new = ImageUse(detected=0.0 if before is None else now)
    result = {}
    for image in images:
        use = known.get(image.id, new)
        result[image.id] = msgspec.structs.replace(use, used=now) if image.id in used else use
    return result


def candidates(images: Iterable[HeldImage], used: Collection[str], times: Mapping[str, ImageUse]) -> list[Candidate]:
    """Return the images that may go, the one that was used longest ago first."""
    free = [Candidate(image, times.get(image.id, ImageUse())) for image in images if image.id not in used and not is_kept(image)]
    return sorted(free, key=lambda one: (one.use.used, one.use.detected, one.image.id))


def is_kept(image: HeldImage) -> bool:
    """True if an image stays although nobody uses it: it is pinned, or no registry has it."""
    return image.pinned or any(name.startswith(LOCAL) for name in image.names)


def expired(free: Sequence[Candidate], policy: ImagePolicy, now: float) -> list[Candidate]:
    """Return the candidates that nobody has used for longer than the policy's maximum age."""
    if not policy.max_age:
        return []
    return [one for one in free if now - max(one.use.used, one.use.detected) > policy.max_age]


def removable(free: Sequence[Candidate], policy: ImagePolicy, now: float) -> list[Candidate]:
    """Return the candidates that may go for room: not those that have just come and may be used in a moment."""
    return [one for one in free if now - one.use.detected >= policy.min_age]


def excess(capacity: int, available: int, policy: ImagePolicy) -> int:
    """Return the bytes by which a disk is to be relieved, 0 below the high threshold."""
    available = min(available, capacity)
    if policy.high >= 100 or 100 - available * 100 // capacity < policy.high:
        return 0
    return max(capacity * (100 - policy.low) // 100 - available, 0)
