"""The chain that every write passes, and the interface of plugins ("Admission Control in Kubernetes").

    decode, default, prepare
      `admit`      plugins that change the object, in order
                   (mutating webhooks and policies come here, before the last plugins)
    validation of the object itself
      `validate`   plugins that only look
                   (validating policies and webhooks come here)
      `settle`     plugins that write: quotas are charged last, for what nobody else refuses
    store

Plugins are synchronous and work from memory. One that misses an object which should appear any moment raises `NotYet`, and the chain asks
it again a little later. Only `settle` may wait for something else, and only where there is something to write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from tiphys.aio.clock import Clock, monotonic
from tiphys.api.machinery.errors import Forbidden, StatusError
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.admission.metrics import FIRST_BUCKET, Timed
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.auth.user import User
from tiphys.obs.metrics import Histogram

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


class AdmissionRequest(msgspec.Struct, kw_only=True):
    """One write as admission sees it.

    `kind` is the kind of the resource in the URL, also when a subresource speaks another one: a token request has the kind ServiceAccount,
    the subresource `token` and a TokenRequest as object. `name` may be "" on a create with generateName. `object` is None on DELETE,
    `old_object` on CREATE; for CONNECT `object` holds the options of the connection or None. Plugins may change `object` in place (`admit`
    only) and must not change `old_object`.
    """

    kind: Kind[Any]
    operation: Operation
    user: User
    source: ObjectSource
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    object: KubeObject | None = None
    old_object: KubeObject | None = None
    dry_run: bool = False
    warnings: list[str] = []
    """Warnings for the client, sent beside the answer."""
    large: bool = False
    """True if the object is so large that each plugin has a turn of the event loop to itself."""
    steps: Steps | None = None
    """The steps that concern such requests, once they are looked up (`AdmissionChain.steps`)."""
    annotations: dict[str, str] = {}
    """Audit annotations of the plugins. There is no audit log yet: it will read them here."""

    def forbidden(self, why: str) -> Forbidden:
        """`pods "web-0" is forbidden: <why>`."""
        name = self.name or (self.object.metadata.name if self.object is not None else "")
        return Forbidden.resource(self.kind.plural, name, why, group=self.kind.group)


class NotYet(Exception):
    """Something that should exist soon does not. Asked again until `patience` seconds have passed, then `error` is the answer."""

    def __init__(self, error: StatusError, *, patience: float, interval: float = 0.05) -> None:
        super().__init__(str(error))
        self.error = error
        self.patience = patience
        self.interval = interval


class AdmissionPlugin:
    """The base of plugins: handles nothing, changes nothing and objects to nothing."""

    name = ""
    """The name that `--enable-admission-plugins` knows."""

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        """Return whether the plugin handles such requests. The answer must never change: it is asked for once."""
        return False

    def admit(self, request: AdmissionRequest) -> None:
        """Change `request.object`. Raises Forbidden, another StatusError, or NotYet."""

    def validate(self, request: AdmissionRequest) -> None:
        """Look at the final object. Raises Forbidden, another StatusError, or NotYet."""

    def settle(self, request: AdmissionRequest) -> Awaitable[None] | None:
        """Make the writes that must precede the object's, unless `request.dry_run`; return an awaitable for them, or None for none.

        Called when every plugin has agreed. The awaitable raises Forbidden or another StatusError.
        """
        return None


MOST_STEPS = 10_000
"""Chains of plugins that are remembered: some for each kind."""
_Step = Callable[[AdmissionRequest], Awaitable[None] | None]
"""One plugin's part; only those that settle return something to wait for."""
_TimedStep = tuple[_Step, Histogram, Timed]


class Steps(NamedTuple):
    """Steps of one kind of request, each with its histogram, and the histograms of all of them together."""

    admit: tuple[_TimedStep, ...]
    validate: tuple[_TimedStep, ...]
    """With those that settle at the end."""
    admission: Timed
    validation: Timed


def _timed(step: _Step, type_: str, operation: Operation, plugin: AdmissionPlugin) -> _TimedStep:
    timed = Timed(type_, operation, plugin.name)
    return step, timed.accepted, timed


class AdmissionChain:
    """Plugins in order. The plugins for a kind of request are chosen once."""

    def __init__(self, plugins: Sequence[AdmissionPlugin], *, clock: Clock) -> None:
        self.plugins = tuple(plugins)
        self._clock = clock
        self._steps: dict[tuple[object, str, Operation, str], Steps] = {}

    def admit(self, request: AdmissionRequest) -> Awaitable[None]:
        """Let the plugins change the object. Raises StatusError."""
        steps = request.steps or self._of(request)
        return self._run(steps.admit, steps.admission, request)

    def validate(self, request: AdmissionRequest) -> Awaitable[None]:
        """Let the plugins validate the object as it will be stored, and charge for it. Raises StatusError."""
        steps = request.steps or self._of(request)
        return self._run(steps.validate, steps.validation, request)

    async def _run(self, steps: tuple[_TimedStep, ...], whole: Timed, request: AdmissionRequest) -> None:
        if not steps:
            whole.accepted.observe(0.0)
            return
        large = request.large
        began = started = monotonic()
        try:
            for step, seconds, timed in steps:  # noqa: B007
                if large:
                    await asyncio.sleep(0)
                    started = monotonic()
                try:
                    written = step(request)
                except NotYet as missing:
                    written = await self._again(step, request, missing)
                if written is not None:
                    await written
                ended = monotonic()
                spent = ended - started
                started = ended
                if spent < FIRST_BUCKET:  # Nearly all: without a call, for writes are the hot path.
                    seconds.counts[0] += 1
                    seconds.sum += spent
                else:
                    seconds.observe(spent)
        except StatusError:
            now = monotonic()
            timed.rejected(now - started)
            whole.rejected(now - began)
            raise
        whole.accepted.observe(started - began)

    def steps(self, kind: Kind[Any], operation: Operation, subresource: str = "") -> Steps | None:
        """Return the steps for such requests, for `AdmissionRequest.steps`, or None when no plugin handles them."""
        steps = self._compute(kind, operation, subresource)
        return steps if steps.admit or steps.validate else None

    def _of(self, request: AdmissionRequest) -> Steps:
        steps = request.steps = self._compute(request.kind, request.operation, request.subresource)
        return steps

    def _compute(self, kind: Kind[Any], operation: Operation, subresource: str) -> Steps:
        type_ = kind.type
        # The identity of a custom kind is its name: its type must not outlive it.
        who = type_ if type_.__model__ is None else (kind.resource, kind.namespaced)
        key = (who, kind.group, operation, subresource)
        known = self._steps.get(key)
        if known is not None:
            return known
        concerned = [plugin for plugin in self.plugins if plugin.handles(kind, operation, subresource)]
        base = AdmissionPlugin
        steps = Steps(
            tuple(_timed(one.admit, "admit", operation, one) for one in concerned if type(one).admit is not base.admit),
            (
                *(_timed(one.validate, "validate", operation, one) for one in concerned if type(one).validate is not base.validate),
                *(_timed(one.settle, "validate", operation, one) for one in concerned if type(one).settle is not base.settle),
            ),
            Timed("admit", operation),
            Timed("validate", operation),
        )
        if len(self._steps) > MOST_STEPS:  # Custom kinds come and go.
            self._steps.clear()
        self._steps[key] = steps
        return steps

    async def _again(self, step: _Step, request: AdmissionRequest, missing: NotYet) -> Awaitable[None] | None:
        deadline = self._clock.monotonic() + missing.patience
        while True:
            if self._clock.monotonic() >= deadline:
                raise missing.error
            await self._clock.sleep(missing.interval)
            try:
                return step(request)
            except NotYet as again:
                missing = again
