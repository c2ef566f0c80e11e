"""The processes of a cluster on this machine, for the mirror pods that show them."""

from __future__ import annotations

import os
from collections.abc import Callable

from tiphys.daemon.process_state import ProcessState, read_state
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.mirror.part import Part
from tiphys.node.runtime import procs
from tiphys.node.runtime.containerd import ContainerdSupervisor


def parts(settings: ClusterSettings, containerd: ContainerdSupervisor, started: int) -> tuple[Part, ...]:
    """Return the server (if its keeper has left a state), the node and containerd. `started`: unix seconds of this process's own start."""
    own = ProcessState(pid=os.getpid(), started=started, restarts=0, last_exit=None, last_ended=0, log=None)

    def server() -> ProcessState | None:
        state = read_state(settings.run_dir, "server")
        # A keeper that has ended by itself leaves the state of a server that nobody starts again.
        over = state is not None and not state.pid and not (settings.run_dir / "server.pid.keeper").exists()
        return None if over else state

    def node() -> ProcessState:
        # Without a keeper, in the foreground or under another supervisor, only this run is known.
        state = read_state(settings.run_dir, "node")
        return state if state is not None and state.pid == own.pid else own

    return (
        _daemon("server", "control-plane", settings, server),
        _daemon("node", "node", settings, node),
        Part(
            name="containerd",
            tier="node",
            command=("containerd", "--config", str(containerd.config_path)),
            read=lambda: _containerd(containerd),
        ),
    )


def _daemon(verb: str, tier: str, settings: ClusterSettings, read: Callable[[], ProcessState | None]) -> Part:
    return Part(name=f"tiphys-{verb}", tier=tier, command=("tiphys", verb, "--data-dir", settings.data_dir), read=read)


def _containerd(supervisor: ContainerdSupervisor) -> ProcessState | None:
    run = supervisor.read_run()
    if run is None:
        return None
    return ProcessState(
        pid=run.pid if procs.is_alive(run.pid) else 0,
        started=run.started,
        restarts=run.restarts,
        last_exit=None,
        last_ended=run.last_ended,
        log=supervisor.log_path,
    )
