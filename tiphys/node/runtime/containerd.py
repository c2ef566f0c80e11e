"""Our own containerd: started once, adopted by later processes, and removed without a trace.

containerd runs in a session of its own, so neither a restart nor `kill -9` of the node process reaches it; its shims in turn survive
containerd. A node process that starts finds the running one through its pid file (or, should that be lost, through /proc) and adopts
it. Everything it makes is below `state_dir` and `run_dir`, apart from what `purge.py` lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from pathlib import Path

import msgspec

from tiphys.aio.clock import Clock, LoopClock
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError, Unimplemented
from tiphys.node.runtime import mounts, procs, purge
from tiphys.node.runtime.cni import find_cni_bin_dir
from tiphys.node.runtime.config import PAUSE_IMAGE, ContainerdConfig, render
from tiphys.obs.process import CAP_SYS_RESOURCE, has_capability

log = logging.getLogger(__name__)

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACE = "k8s.io"
_LOG_LIMIT = 10 << 20
_RESTART_DELAYS = (0.0, 0.2, 1.0, 3.0, 5.0)


class ContainerdError(Exception):
    """containerd cannot be had; the message is one sentence with the fix, followed by containerd's own last words if there are any."""


class ContainerdRun(msgspec.Struct, frozen=True):
    """The content of the pid file: the newest start of containerd. Moments are unix seconds, 0 for never."""

    pid: int
    started: int = 0
    restarts: int = 0
    """Starts since it was last ended on purpose, without the first."""
    last_ended: int = 0
    """Time at which the run before was replaced, which is seconds after its end."""


class ContainerdSupervisor:
    """Keeps one containerd running.

    `state_dir` keeps images and snapshots and survives reboots; `run_dir` keeps sockets and mounts and should be on a tmpfs. The CNI
    configuration is expected in `cni_conf_dir` (by default `state_dir/cni/net.d`); containerd picks up changes by itself.
    """

    def __init__(
        self,
        state_dir: str | Path,
        run_dir: str | Path,
        *,
        cni_conf_dir: str | Path | None = None,
        cni_bin_dir: str = "",
        sandbox_image: str = PAUSE_IMAGE,
        snapshotter: str = "",
        log_level: str = "warn",
        search_path: str = SEARCH_PATH,
        clock: Clock | None = None,
    ) -> None:
        self.state_dir = Path(state_dir).absolute()
        self.run_dir = Path(run_dir).absolute()
        self.cni_conf_dir = Path(cni_conf_dir).absolute() if cni_conf_dir is not None else self.state_dir / "cni" / "net.d"
        self.registry_dir = self.state_dir / "certs.d"
        self.socket_path = self.run_dir / "containerd.sock"
        self.config_path = self.state_dir / "containerd.toml"
        self.log_path = self.state_dir / "containerd.log"
        self.pid_path = self.run_dir / "containerd.pid"
        self.root = self.state_dir / "containerd"
        self.state = self.run_dir / "containerd"
        self.pid: int | None = None
        self.adopted = False
        """True if the running containerd was there before `start`."""
        self._cni_bin_dir = cni_bin_dir or find_cni_bin_dir()
        self._sandbox_image = sandbox_image
        self._snapshotter = snapshotter
        self._log_level = log_level
        self._search_path = search_path
        self._clock = clock or LoopClock()

    # -- starting

    async def start(self, *, timeout: float = 30.0) -> None:
        """Adopt the running containerd or start one, and return when its CRI answers. Raises ContainerdError.

        A running one that does not answer, or whose configuration is not what we would write, is replaced; its containers go on meanwhile.
        """
        _refuse_long_socket(self.socket_path)
        if os.geteuid() != 0:
            raise ContainerdError("real containers need root; run this with sudo, or choose the hollow runtime")
        text = render(self._config())
        changed = _read(self.config_path) != text
        pid = self.find()
        if pid is not None and changed:
            log.info("containerd has a different configuration, replacing it", extra={"pid": pid})
            await procs.end(pid, grace=10)
            pid = None
        self.adopted = pid is not None
        if pid is None:
            for directory in (self.root, self.state, self.cni_conf_dir, self.registry_dir):
                directory.mkdir(parents=True, exist_ok=True)
            if changed:
                self.config_path.write_text(text, encoding="utf-8")
            pid = self._spawn()
        self.pid = pid
        self._write_pid(pid)
        try:
            await self._wait_ready(pid, timeout)
        except ContainerdError as error:
            await procs.end(pid, grace=2)
            self.pid = None
            if not self.adopted:
                raise
            log.warning("the running containerd cannot be used, replacing it", extra={"pid": pid, "error": str(error)})
            await self.start(timeout=timeout)

    def find(self) -> int | None:
        """The process id of our containerd if it runs, whichever process started it."""
        noted = self.read_run()
        if noted is not None and self._is_ours(procs.command_line(noted.pid)):
            return noted.pid
        pids = procs.find(self._is_ours)
        return pids[0] if pids else None

    def read_run(self) -> ContainerdRun | None:
        """Return the pid file's content, None without one or when it is damaged. Its process may not run any more."""
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(_read(self.pid_path), type=ContainerdRun)
        return None

    async def supervise(self) -> None:
        """Start containerd again whenever it ends, until cancelled. Cancelling leaves it running."""
        failures = 0
        while True:
            if self.pid is not None:
                since = self._clock.monotonic()
                await procs.wait_gone(self.pid)
                log.warning("containerd ended, starting it again", extra={"pid": self.pid})
                failures = 0 if self._clock.monotonic() - since > 60 else failures + 1
            await self._clock.sleep(_RESTART_DELAYS[min(failures, len(_RESTART_DELAYS)) - 1] if failures else 0.0)
            self.pid = None
            try:
                await self.start()
            except (ContainerdError, OSError) as error:
                failures += 1
                log.error("containerd does not start", extra={"error": str(error)})

    # -- ending

    async def stop(self, *, grace: int = 5) -> None:
        """Stop every pod, its containers with `grace` seconds to end by themselves, and then containerd.

        Images and the records of stopped pods stay.
        """
        if self.find() is None and not purge.shims(self.socket_path):
            return
        with contextlib.suppress(ContainerdError, OSError):
            await self.start(timeout=15)
            async with CriClient(self.socket_path, timeout=60) as cri:
                await purge.stop_pods(cri, remove=False, grace=grace)
        await self._end()

    async def purge(self, *, cgroup_parents: tuple[str, ...] = ()) -> list[str]:
        """Remove every trace: pods, containerd, shims, mounts, namespaces, bridges, the given control groups, files.

        Works from any half-made state, and without containerd too. Returns what could not be removed, in words; empty is the aim.
        """
        if self.root.exists() and (self.find() is not None or purge.shims(self.socket_path)):
            # Asking the runtime first gives addresses and host ports back through the CNI plugins.
            with contextlib.suppress(ContainerdError, OSError, CriError):
                await self.start(timeout=15)
                async with CriClient(self.socket_path, timeout=30) as cri:
                    await purge.stop_pods(cri, remove=True, grace=0)
        await self._end()
        await purge.end_leftovers(cgroup_parents)
        return await asyncio.to_thread(
            purge.remove_traces,
            purge.Traces(
                directories=[self.root, self.state, self.run_dir / "runc", self.registry_dir],
                files=[self.config_path, self.log_path, self.log_path.with_suffix(".log.1"), self.pid_path, *self._sockets()],
                empty=[self.run_dir, self.state_dir],
                cni_conf_dir=self.cni_conf_dir,
                cgroups=list(cgroup_parents),
            ),
        )

    async def _end(self) -> None:
        """End our containerd, then our shims and their processes."""
        pid = self.find()
        if pid is not None:
            await procs.end(pid, grace=10)
        self.pid = None
        await purge.end_shims(self.socket_path)
        self.pid_path.unlink(missing_ok=True)

    # -- details

    def _config(self) -> ContainerdConfig:
        return ContainerdConfig(
            root=self.root,
            state=self.state,
            socket=self.socket_path,
            cni_conf_dir=self.cni_conf_dir,
            cni_bin_dir=self._cni_bin_dir,
            registry_dir=self.registry_dir,
            sandbox_image=self._sandbox_image,
            snapshotter=self._snapshotter or ("overlayfs" if mounts.overlay_works(self.root) else "native"),
            restrict_oom_score_adj=not has_capability(CAP_SYS_RESOURCE),
            log_level=self._log_level,
        )

    def _is_ours(self, arguments: list[str]) -> bool:
        return Path(arguments[0]).name == "containerd" and str(self.config_path) in arguments if arguments else False

    def _spawn(self) -> int:
        binary = shutil.which("containerd", path=self._search_path)
        if binary is None:
            raise ContainerdError(
                "containerd is not installed; install it with: apt-get install containerd runc containernetworking-plugins"
            )
        self.socket_path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self.log_path.stat().st_size > _LOG_LIMIT:
                os.replace(self.log_path, self.log_path.with_suffix(".log.1"))
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        environment["PATH"] = self._search_path
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            binary,
            [binary, "--config", str(self.config_path)],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log_path), append, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD],
        )

    def _write_pid(self, pid: int) -> None:
        before = self.read_run()
        if before is None:
            run = ContainerdRun(pid, self._now())
        elif before.pid != pid:
            # A deliberate stop removes the file, so the process that it names has ended by itself or was replaced.
            run = ContainerdRun(pid, self._now(), before.restarts + 1, self._now())
        else:
            run = before
        draft = self.pid_path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(run) + b"\n")
        os.replace(draft, self.pid_path)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    async def _wait_ready(self, pid: int, timeout: float) -> None:
        deadline = self._clock.monotonic() + timeout
        reason = "its socket does not answer"
        async with CriClient(self.socket_path) as cri:
            while self._clock.monotonic() < deadline:
                if not procs.is_alive(pid):
                    raise ContainerdError(f"containerd ended while starting; its log is {self.log_path}\n{self._last_words()}")
                if self.socket_path.exists():
                    try:
                        conditions = {part.type: part for part in (await cri.status()).status.conditions}
                    except Unimplemented as error:
                        reason = error.message
                        break  # its CRI plugin did not load, and will not later
                    except CriError as error:
                        reason = error.message
                    else:
                        if conditions["RuntimeReady"].status:
                            return
                        reason = conditions["RuntimeReady"].message
                await self._clock.sleep(0.01)
        raise ContainerdError(f"containerd did not become ready ({reason}); its log is {self.log_path}\n{self._last_words()}")

    def _last_words(self) -> str:
        lines = _read(self.log_path).splitlines()
        return "\n".join([line for line in lines if "level=error" in line or "level=fatal" in line][-3:] or lines[-3:])

    def _sockets(self) -> list[Path]:
        return [self.socket_path, Path(f"{self.socket_path}.ttrpc")]


def _refuse_long_socket(path: Path) -> None:
    # The kernel's limit is 107 bytes, and containerd adds ".ttrpc" to the name for its second socket.
    if len(os.fsencode(path)) > 100:
        raise ContainerdError(f"the path of containerd's socket is too long for the kernel ({path}); choose a shorter run directory")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
