"""Control loop that starts the Jobs of CronJobs ("CronJob")."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from tiphys.api.batch import v1 as batch
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.cronjob.plan import plan
from tiphys.controllers.cronjob.runs import Remark, job_name, job_of, unseen, with_run, without
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.obs import metrics
from tiphys.runtime import (
    DONE,
    OWNER,
    ControllerContext,
    Declaration,
    Key,
    Result,
    Whole,
    controller_of,
    delete_exact,
    index_owners,
    to_owner,
    write_status,
)

SKEW = metrics.histogram(
    "cronjob_controller_job_creation_skew_duration_seconds",
    "Seconds from the time at which a run was due to the creation of its Job.",
    buckets=metrics.exponential(1, 2, 10),
    stability="STABLE",
).labels()

LOCAL_TIME: Final = Path("/etc/localtime")
LOOK_AGAIN = 600.0
"""Maximum time to the next look, in seconds: timers stand still while a machine sleeps, and its clock may be set."""


def default_zone(name: str) -> tzinfo:
    """Return the zone of this name; for "" that of the machine, UTC when it has none. Raises ZoneInfoNotFoundError."""
    if name:
        return ZoneInfo(name)
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        with LOCAL_TIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        return UTC


class CronJobController:
    """Starts each run once: its Job's name is derived from its time, so that a second creation is refused, and the status is read from
    the server before each start, so that a cache which is behind starts nothing.
    """

    declaration = Declaration(
        name="cronjob",
        kind=batch.CronJob,
        roles=("cronjob-controller",),
        reads=(Whole(batch.CronJob), Whole(batch.Job)),
        settings=CronJobSettings,
    )

    def __init__(self, settings: CronJobSettings) -> None:
        self._zone = default_zone(settings.time_zone)
        self._remarks: dict[Key, set[Remark]] = {}
        """Remarks that held at the last look, which are not events again."""
        self._edited: dict[Key, float] = {}
        """Times at which this loop saw schedules change, in seconds since the epoch."""
        self._deleted: dict[Key, set[str]] = {}
        """UIDs of Jobs that were deleted and that the cache may still show."""
        self._begun: dict[Key, int] = {}
        """Times whose Job may have been created, though the answer was lost or the status is not written."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._cron_jobs = ctx.read(batch.CronJob)
        self._jobs = index_owners(ctx.read(batch.Job))
        self._cron_jobs.subscribe(self._note_edit)
        ctx.watch(self._cron_jobs)
        ctx.watch(self._jobs, to_owner("CronJob", "batch"))

    def _note_edit(self, old: batch.CronJob | None, new: batch.CronJob | None) -> None:
        """Note that a schedule has changed: times that only the new one has, and that have passed, are not owed."""
        if old is None or new is None:
            return
        if (old.spec.schedule, old.spec.timeZone) != (new.spec.schedule, new.spec.timeZone):
            self._edited[Key.of(new)] = self._ctx.clock.now().timestamp()

    async def reconcile(self, key: Key) -> Result:
        cron_job = self._cron_jobs.get(key)
        if cron_job is None:
            for memory in (self._remarks, self._edited, self._deleted, self._begun):
                memory.pop(key, None)
            return DONE
        jobs = await self._claim(key, cron_job)
        now = self._ctx.clock.now()
        floor = self._edited.get(key, 0.0)
        step = plan(
            cron_job, jobs, now, zone=self._zone, floor=floor, is_taken=lambda name: self._jobs.get(Key(key.namespace, name)) is not None
        )
        written = await write_status(self._ctx.client, cron_job, step.status)
        if written is None:
            return DONE
        self._begun.pop(key, None)
        self._record(written, step.news)
        self._tell(key, written, step.standing)
        for job in step.delete:
            await self._delete(key, written, job.metadata)
        if step.start is not None:
            await self._start(key, written, step.start, {ref.uid for ref in step.replace})
        if step.next is None:
            return DONE
        return Result(min(step.next - self._ctx.clock.now().timestamp(), LOOK_AGAIN))

    async def _claim(self, key: Key, cron_job: batch.CronJob) -> list[batch.Job]:
        """Return the Jobs that it controls. Those that must be there and that the cache lacks are asked for."""
        jobs = self._jobs.by_index(OWNER, cron_job.metadata.uid)
        deleted = self._deleted.get(key, set())
        deleted &= {job.metadata.uid for job in jobs}
        if not deleted:
            self._deleted.pop(key, None)
        jobs = [job for job in jobs if job.metadata.uid not in deleted]
        names = unseen(cron_job, jobs)
        if key in self._begun:
            names.append(job_name(key.name, self._begun[key]))
        for name in names:
            try:
                job = await self._ctx.client.get(batch.Job, name, key.namespace)
            except NotFound:
                continue
            if _controls(cron_job, job) and job.metadata.uid not in deleted | {known.metadata.uid for known in jobs}:
                jobs.append(job)
        return jobs

    async def _start(self, key: Key, cron_job: batch.CronJob, due: int, replaced: set[str]) -> None:
        meta = cron_job.metadata
        fresh = await self._ctx.client.get(batch.CronJob, meta.name, meta.namespace)
        if (fresh.metadata.uid, fresh.metadata.resourceVersion) != (meta.uid, meta.resourceVersion):
            raise Conflict(f"the cache is behind: cronjob {key} has changed")
        status = cron_job.status
        for ref in status.active:
            if ref.uid in replaced:
                await self._delete(key, cron_job, ObjectMeta(name=ref.name, namespace=meta.namespace, uid=ref.uid))
        status = without(status, replaced)
        self._begun[key] = due
        try:
            job = await self._create(cron_job, due)
        except StatusError as error:
            await write_status(self._ctx.client, cron_job, status)
            if namespace_ends(error):
                return
            raise
        await write_status(self._ctx.client, cron_job, with_run(status, job, due))
        self._begun.pop(key, None)

    async def _create(self, cron_job: batch.CronJob, due: int) -> batch.Job:
        """Create the Job of a time and return it, also when it is there already."""
        desired = job_of(cron_job, due)
        try:
            job = await self._ctx.client.create(desired)
        except AlreadyExists:
            job = await self._ctx.client.get(batch.Job, desired.metadata.name, desired.metadata.namespace)
            if not _controls(cron_job, job):
                raise
            return job
        except StatusError as error:
            if not namespace_ends(error):
                self._ctx.recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        SKEW.observe(max((job.metadata.creationTimestamp or self._ctx.clock.now()).timestamp() - due, 0.0))
        self._ctx.recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {job.metadata.name}")
        return job

    async def _delete(self, key: Key, cron_job: batch.CronJob, meta: ObjectMeta) -> None:
        try:
            # The pods go with it; by default a Job's would stay.
            deleted = await delete_exact(self._ctx.client, batch.Job, meta, propagation="Background")
        except Exception as error:
            self._ctx.recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        if deleted:
            self._ctx.recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {meta.name}")
        self._deleted.setdefault(key, set()).add(meta.uid)

    def _tell(self, key: Key, cron_job: batch.CronJob, remarks: Sequence[Remark]) -> None:
        """Record what did not hold at the last look."""
        earlier, self._remarks[key] = self._remarks.get(key, set()), set(remarks)
        self._record(cron_job, [remark for remark in remarks if remark not in earlier])

    def _record(self, cron_job: batch.CronJob, remarks: Sequence[Remark]) -> None:
        for remark in remarks:
            self._ctx.recorder.event(cron_job, remark.type, remark.reason, remark.message)


def _controls(cron_job: batch.CronJob, job: batch.Job) -> bool:
    owner = controller_of(job)
    return owner is not None and owner.uid == cron_job.metadata.uid
