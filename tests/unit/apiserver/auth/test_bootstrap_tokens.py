"""Tokens of new nodes, kept in Secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.api.core.v1 import Secret
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.auth.authenticate import Identified
from tiphys.apiserver.auth.bootstrap_tokens import BootstrapTokens
from tiphys.testing.object_source import DictObjectSource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "abcdef.0123456789abcdef"


class SetClock(LoopClock):
    def now(self) -> datetime:
        return NOW


def secret(
    type_: str = "bootstrap.kubernetes.io/token", *, name: str = "bootstrap-token-abcdef", namespace: str = "kube-system", **data: str
) -> Secret:
    content = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
    content |= {key.replace("_", "-"): value for key, value in data.items()}
    encoded = {key: value.encode() for key, value in content.items()}
    return Secret(metadata=ObjectMeta(name=name, namespace=namespace), type=type_, data=encoded)


def ask(*secrets: Secret, token: str = TOKEN, audiences: tuple[str, ...] = ()) -> Identified | None:
    source = DictObjectSource()
    for one in secrets:
        source.put(one)
    return BootstrapTokens(source, audiences=("api",), clock=SetClock()).identify(token, audiences)


def test_a_token_is_a_user_of_its_own_in_the_group_of_new_nodes() -> None:
    extra = secret(auth_extra_groups="system:bootstrappers:workers,system:bootstrappers:kubeadm:default-node-token")
    found = ask(extra)
    assert found is not None
    assert found.user.name == "system:bootstrap:abcdef"
    assert found.user.groups == (
        "system:bootstrappers",
        "system:bootstrappers:kubeadm:default-node-token",
        "system:bootstrappers:workers",
        "system:authenticated",
    )
    assert found.audiences == ("api",)
    assert ask(extra, audiences=("other",)) is None
    assert ask(secret(expiration=(NOW + timedelta(seconds=1)).isoformat())) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        secret("Opaque"),
        secret(name="bootstrap-token-abcdeg"),
        secret(namespace="default"),
        secret(token_id="abcdeg"),
        secret(token_secret="0123456789abcdeg"),
        secret(token_secret=""),
        secret(usage_bootstrap_authentication="yes"),
        secret(auth_extra_groups="system:masters"),
        secret(auth_extra_groups="system:bootstrappers:"),
        secret(expiration=NOW.isoformat()),
        secret(expiration="2036-01-01T00:00:00"),
        secret(expiration="soon"),
    ],
)  # fmt: skip
def test_rejects_invalid_tokens(wrong: Secret) -> None:
    assert ask(wrong) is None


def test_a_secret_that_is_being_deleted_holds_no_more() -> None:
    going = secret()
    going.metadata.deletionTimestamp = NOW
    assert ask(going) is None


@pytest.mark.parametrize("token", ["", "abcdef", "abcdef.0123456789abcdeF", f"{TOKEN}0", f"{TOKEN}\n", "a.b.c"])
def test_other_tokens_are_left_alone(token: str) -> None:
    assert ask(secret(), token=token) is None
