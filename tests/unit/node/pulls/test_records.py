"""Records of pulls on disk: what a new kubelet finds, and what happens when files cannot be read or written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tiphys.node.pulls.keyring import Credential, Owner
from tiphys.node.pulls.records import PullRecords
from tiphys.node.pulls.verification import judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN = Credential(username="u", password="p", secret=Owner("1", "default", "s"))


async def loaded(root: Path) -> PullRecords:
    records = PullRecords(root)
    await records.load()
    return records


async def test_a_new_kubelet_knows_what_was_pulled_by_whom(tmp_path: Path) -> None:
    records = await loaded(tmp_path)
    assert await records.add("sha256:1", "r.test/a:1", LOGIN, NOW)
    again = await loaded(tmp_path)
    assert again.get("sha256:1") == records.get("sha256:1")
    assert judge(again.get("sha256:1"), "r.test/a:1", [LOGIN]).allowed
    (file,) = (tmp_path / "image_manager" / "pulled").iterdir()
    document = json.loads(file.read_bytes())
    assert (document["kind"], document["lastUpdatedTime"]) == ("ImagePulledRecord", "2026-01-01T00:00:00Z")
    assert "p" not in document["credentialMapping"]["r.test/a"]["kubernetesSecrets"][0].values()


async def test_an_interrupted_pull_is_found(tmp_path: Path) -> None:
    records = await loaded(tmp_path)
    await records.begin("a:1")
    await records.begin("a:1")
    await records.end("a:1")
    again = await loaded(tmp_path)
    assert again.unfinished() == ["a:1"]
    assert again.is_pulled("sha256:1", "a:1")
    await again.end("a:1")
    assert (await loaded(tmp_path)).unfinished() == []


async def test_files_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    records = await loaded(tmp_path)
    await records.add("sha256:1", "a:1", None, NOW)
    pulled = tmp_path / "image_manager" / "pulled"
    (pulled / "sha256-bad").write_text("{")
    (pulled / "sha256-half.tmp").write_text("{")
    again = await loaded(tmp_path)
    assert again.get("sha256:1") is not None
    assert not (pulled / "sha256-half.tmp").exists()


async def test_a_record_that_cannot_be_written_does_not_count(tmp_path: Path) -> None:
    records = await loaded(tmp_path)
    directory = tmp_path / "image_manager" / "pulled"
    directory.rmdir()
    assert not await records.add("sha256:1", "a:1", None, NOW)
    assert records.get("sha256:1") is None


async def test_records_of_images_that_are_gone_go(tmp_path: Path) -> None:
    records = await loaded(tmp_path)
    for ref in ("sha256:old", "sha256:here"):
        await records.add(ref, "a:1", None, NOW)
    await records.add("sha256:new", "a:1", None, NOW + timedelta(hours=1))
    await records.prune({"sha256:here"}, NOW + timedelta(minutes=1))
    again = await loaded(tmp_path)
    assert [ref for ref in ("sha256:old", "sha256:here", "sha256:new") if again.get(ref)] == ["sha256:here", "sha256:new"]
