"""Background processes of a cluster: started, kept running, found again and stopped by process id.

Each daemon is the child of a keeper, a shell loop that restarts it when it dies, with growing delays, and stops when it exits by itself
or when its first start fails for good (exit code 78). Keeper and daemon are in a session of their own, so they outlive the terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tiphys.aio.clock import monotonic
from tiphys.daemon.process_state import ProcessState, read_state, state_file
from tiphys.daemon.settings import ClusterSettings

KEEPER = r"""
child=; pause=; stop=; restarts=0; quick=0; code=; ended=
note() {
  printf 'pid=%s\nstarted=%s\nrestarts=%s\nlast_exit=%s\nlast_ended=%s\nlog=%s\n' \
    "$1" "$began" "$restarts" "$code" "$ended" "$LOGFILE" > "$STATEFILE.new" && mv "$STATEFILE.new" "$STATEFILE"
}
trap 'stop=1; kill -TERM $child $pause 2>/dev/null' TERM INT HUP
while [ -z "$stop" ]; do
  "$@" &
  child=$!
  began=$(date +%s)
  echo "$child" > "$PIDFILE"
  note "$child"
  [ -n "$stop" ] && kill -TERM "$child" 2>/dev/null
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
  # A signal to the keeper interrupts its wait: the exit code of a child that ended meanwhile can still be read, once.
  [ -n "$stop" ] && { wait "$child" 2>/dev/null; again=$?; [ $again -eq 127 ] || code=$again; }
  child=; ended=$(date +%s)
  note
  [ -n "$stop" ] && break
  [ $code -eq 0 ] && break
  if [ $((ended - began)) -ge 10 ]; then quick=0; elif [ $code -eq 78 ] && [ $restarts -eq 0 ]; then break; fi
  case $quick in 0) delay=0.2;; 1) delay=0.5;; 2) delay=1;; 3) delay=2;; *) delay=5;; esac
  quick=$((quick + 1)); restarts=$((restarts + 1))
  echo "tiphys-keeper: exited with code $code, restarting in $delay s"
  sleep $delay & pause=$!
  wait "$pause"; pause=
done
rm -f "$PIDFILE" "$PIDFILE.keeper"
"""
"""Shell script that restarts its command whenever it exits: at once after a run of 10 s, with growing delays after shorter runs.

It stops after exit code 0, a requested stop, and when the first start fails with 78: the next would fail, too, and `tiphys up` waits to
report it. A daemon that has run before is restarted whatever its exit code, since the cause may go away by itself, as a full disk does.
The keeper writes what `tiphys.daemon.process_state` reads.
"""
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    """Daemon of a cluster: `server` or `node`."""

    name: str
    settings: ClusterSettings

    @property
    def pid_file(self) -> Path:
        return self.settings.run_dir / f"{self.name}.pid"

    @property
    def keeper_file(self) -> Path:
        return self.settings.run_dir / f"{self.name}.pid.keeper"

    @property
    def log_file(self) -> Path:
        return self.settings.log_dir / f"{self.name}.log"

    def state(self) -> ProcessState | None:
        """Return the state recorded by the keeper: start time, restarts and last exit code."""
        return read_state(self.settings.run_dir, self.name)

    def keeper_pid(self) -> int | None:
        """Return the keeper's process id, or None when it is not running."""
        return self._alive(self.keeper_file)

    def pid(self) -> int | None:
        """Return the daemon's process id, or None when it is not running."""
        return self._alive(self.pid_file)

    def _alive(self, file: Path) -> int | None:
        """Return the process id in a file if that process belongs to this cluster: ids are reused after a reboot."""
        try:
            pid = int(file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        ours = f"tiphys {self.name} --data-dir {self.settings.data_dir}"
        return pid if ours in command and state != "Z" else None

    def start(self) -> None:
        """Start the keeper, which starts the daemon. A daemon that has lost its keeper is stopped first."""
        if self.pid() is not None:
            self.stop()
        self.settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        arguments = [sys.executable, "-m", "tiphys", self.name, "--data-dir", self.settings.data_dir]
        with self.log_file.open("ab") as log:
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "tiphys-keeper", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={
                    **os.environ,
                    "PIDFILE": str(self.pid_file),
                    "STATEFILE": str(state_file(self.settings.run_dir, self.name)),
                    "LOGFILE": str(self.log_file),
                    "PYTHONUNBUFFERED": "1",
                },
                start_new_session=True,
            )
        self.keeper_file.write_text(f"{keeper.pid}\n")

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """Stop keeper and daemon, with SIGKILL after `timeout` seconds; returns whether either was running."""
        pids = [pid for pid in (self.keeper_pid(), self.pid()) if pid is not None]
        for pid in pids:
            _send(pid, signal.SIGTERM)
        deadline = monotonic() + timeout
        while any(_exists(pid) for pid in pids):
            if monotonic() > deadline:
                for pid in pids:
                    _send(pid, signal.SIGKILL)
                deadline += timeout
            time.sleep(0.02)  # noqa: TID251 - there is no loop to sleep on, and these are not our children
        for file in (self.pid_file, self.keeper_file, state_file(self.settings.run_dir, self.name)):
            file.unlink(missing_ok=True)
        return bool(pids)

    def log_tail(self, lines: int = 8) -> str:
        """Return the last lines of the log; after a failed start they name the problem."""
        try:
            text = self.log_file.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def processes(settings: ClusterSettings) -> tuple[Process, Process]:
    """Return server and node, in start order."""
    return Process("server", settings), Process("node", settings)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _exists(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
