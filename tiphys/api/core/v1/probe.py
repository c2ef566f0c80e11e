"""The core group, v1: probes, and handlers of a container's life cycle."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, IntOrString, Struct, always


class TCPSocketAction(Struct):
    """Opens a connection."""

    port: IntOrString | None = None
    """The port, by number (1 to 65535) or by the container port's name."""
    host: str = ""
    """The host to connect to; the pod's address if empty."""


class ExecAction(Struct):
    """Runs a command in the container."""

    command: Annotated[list[str], Atomic()] = []
    """The program and its arguments, without a shell. Exit code 0 is success."""


class HTTPHeader(Struct):
    """A header of a request."""

    name: str = always(str)
    """The name of the header."""
    value: str = always(str)
    """Its value."""


class HTTPGetAction(Struct):
    """Sends a GET request; answers from 200 to 399 are success."""

    path: str = ""
    """The path to ask for; `/` if empty."""
    port: IntOrString | None = None
    """The port, by number (1 to 65535) or by the container port's name."""
    host: str = ""
    """The host to ask; the pod's address if empty. To ask by name, set the header Host instead."""
    scheme: str = ""
    """`HTTP` (default) or `HTTPS`, whose certificate is not checked."""
    httpHeaders: Annotated[list[HTTPHeader], Atomic()] = []
    """Headers to send."""


class GRPCAction(Struct):
    """Asks a gRPC health service."""

    port: int = always(int)
    """The port, 1 to 65535."""
    service: str | None = None
    """The service name in the health request; empty asks about the server as a whole."""


class Probe(Struct):
    """A question that is asked about a container again and again."""

    initialDelaySeconds: int = 0
    """Seconds after the start before the first question. 0 by default."""
    timeoutSeconds: int = 0
    """Seconds until an unanswered question counts as a failure. 1 by default."""
    periodSeconds: int = 0
    """Seconds between questions. 10 by default, at least 1."""
    successThreshold: int = 0
    """Successes in a row that end a failure. 1 by default, and always 1 for liveness and startup."""
    failureThreshold: int = 0
    """Failures in a row that count as a failure. 3 by default."""
    terminationGracePeriodSeconds: int | None = None
    """Seconds the container gets to end when this probe fails, instead of those of the pod. Not for readiness."""
    exec: ExecAction | None = None
    """Runs a command."""
    grpc: GRPCAction | None = None
    """Asks a gRPC health service."""
    httpGet: HTTPGetAction | None = None
    """Sends an HTTP request."""
    tcpSocket: TCPSocketAction | None = None
    """Opens a connection."""


class SleepAction(Struct):
    """Waits."""

    seconds: int = always(int)
    """Number of seconds to sleep."""


class LifecycleHandler(Struct):
    """Action of a lifecycle hook; exactly one of its fields is set."""

    exec: ExecAction | None = None
    """Runs a command."""
    httpGet: HTTPGetAction | None = None
    """Sends an HTTP request."""
    tcpSocket: TCPSocketAction | None = None
    """Kept for compatibility; it does nothing and fails when used."""
    sleep: SleepAction | None = None
    """Waits."""


class Lifecycle(Struct):
    """Hooks that run right after a container starts and right before it is stopped."""

    postStart: LifecycleHandler | None = None
    """Done after the start, at the same time as the container's own program. If it fails, the container is killed."""
    preStop: LifecycleHandler | None = None
    """Done before the container is asked to end; the grace period runs meanwhile."""
    stopSignal: str | None = None
    """The signal that asks the container to end, instead of the image's. Needs spec.os.name."""
