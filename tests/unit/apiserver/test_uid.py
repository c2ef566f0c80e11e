"""UIDs of objects."""

from __future__ import annotations

from uuid import UUID

from tiphys.apiserver.chain.context import Services


def test_uids_are_random_uuids() -> None:
    made = {Services.uid() for _ in range(2_000)}
    assert len(made) == 2_000
    read = [UUID(uid) for uid in made]
    assert {str(uid) for uid in read} == made
    assert {(uid.version, uid.variant) for uid in read} == {(4, "specified in RFC 4122")}
    assert len({uid[19] for uid in made}) == 4
