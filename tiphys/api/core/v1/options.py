"""The core group, v1: parameters of the subresources that end at a container, a pod, a Service or a node. They stand in URLs only."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, Struct, Time


class PodLogOptions(Struct):
    """Parameters of a container's log."""

    container: str = ""
    """The container; may be absent when the pod has only one."""
    follow: bool = False
    """True if the log is followed as more is written."""
    previous: bool = False
    """True if the log is that of the container that ran before this one."""
    sinceSeconds: int | None = None
    """Only lines of the last so many seconds, at least 1."""
    sinceTime: Time | None = None
    """Only lines written at this time or later."""
    timestamps: bool = False
    """True if each line begins with the time at which it was written."""
    tailLines: int | None = None
    """Only the last so many lines."""
    limitBytes: int | None = None
    """Bytes after which the log ends, at least 1."""
    insecureSkipTLSVerifyBackend: bool = False
    """True if the kubelet's certificate goes unchecked."""
    stream: str | None = None
    """Only what came from `Stdout` or `Stderr`; `All` is the default."""


class PodAttachOptions(Struct):
    """Parameters of an attach to a running container."""

    stdin: bool = False
    """True if the client writes to the container's stdin."""
    stdout: bool = False
    """True if the client reads the container's stdout."""
    stderr: bool = False
    """True if the client reads the container's stderr."""
    tty: bool = False
    """True if the streams are those of a terminal."""
    container: str = ""
    """The container; may be absent when the pod has only one."""


class PodExecOptions(PodAttachOptions):
    """Parameters of a command in a running container."""

    command: Annotated[list[str], Atomic()] = []
    """The command and its arguments."""


class PodPortForwardOptions(Struct):
    """Parameters of connections to a pod's ports."""

    ports: Annotated[list[int], Atomic()] = []
    """The ports; needed by WebSocket clients only."""
