"""Jobs and cron jobs: `batch`."""
