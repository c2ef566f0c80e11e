"""Jobs: `batch`."""

from __future__ import annotations

from typing import Any

from tiphys.api.batch.cron_job import CRON_JOBS
from tiphys.api.batch.job import JOBS
from tiphys.api.machinery.scheme import Kind

KINDS: tuple[Kind[Any], ...] = (CRON_JOBS, JOBS)
