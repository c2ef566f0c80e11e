"""Callers whom front proxies name in headers."""

from __future__ import annotations

import pytest

from tiphys.api.machinery.errors import Unauthorized
from tiphys.apiserver.auth.authenticate import AuthenticatorChain, CertificateAuthenticator
from tiphys.apiserver.auth.request_header import RequestHeaderAuthenticator, identity_headers, without_identity
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.settings import RequestHeaders
from tiphys.wire.http import PeerIdentity, Request

PROXY = PeerIdentity(proxy_name="front-proxy-client")


def request(peer: PeerIdentity, **headers: str) -> Request:
    return Request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()}, peer=peer)


async def user_of(asked: Request, headers: RequestHeaders | None = None) -> User:
    chain = AuthenticatorChain((CertificateAuthenticator(),), for_proxies=RequestHeaderAuthenticator(headers or RequestHeaders()))
    return await chain.authenticate(asked)


async def test_a_proxy_names_user_uid_groups_and_extra() -> None:
    asked = request(
        PROXY, x_remote_user="jane", x_remote_uid="7", x_remote_group="dev,ops\n\nqa", x_remote_extra_acme_com_2fproject="a\nb",
        accept="text/plain\napplication/json",
    )  # fmt: skip
    asked.headers = {name.replace("acme-com-2f", "acme.com%2f"): value for name, value in asked.headers.items()}
    user = await user_of(asked)
    # A comma belongs to the name: only headers of their own make groups.
    assert user == User("jane", "7", ("dev,ops", "qa", "system:authenticated"), {"acme.com/project": ("a", "b")})
    assert asked.headers == {"accept": "text/plain,application/json"}


async def test_names_are_read_as_utf8_and_keys_that_are_not_encoded_well_are_kept() -> None:
    asked = request(PROXY, x_remote_user="jürgen".encode().decode("latin-1"))
    asked.headers = {**asked.headers, "x-remote-extra-100%": "x"}
    user = await user_of(asked)
    assert (user.name, user.extra) == ("jürgen", {"100%": ("x",)})


async def test_headers_of_anybody_else_count_for_nothing() -> None:
    asked = request(PeerIdentity(common_name="joe"), x_remote_user="jane", x_remote_group="system:masters")
    assert await user_of(asked) == User("joe", groups=("system:authenticated",))
    assert (await user_of(request(PeerIdentity(), x_remote_user="jane"))).name == "system:anonymous"


async def test_a_proxy_that_is_not_believed_or_names_nobody_is_refused() -> None:
    for asked in (request(PeerIdentity(proxy_name="other"), x_remote_user="jane"), request(PROXY), request(PROXY, x_remote_user="")):
        with pytest.raises(Unauthorized):
            await user_of(asked)


async def test_options_choose_proxies_and_headers() -> None:
    headers = RequestHeaders(allowed_names=(), username=("X-First", "X-Second"), uid=(), group=("X-Team", "X-Role"), extra_prefix=("X-E-",))
    asked = request(PeerIdentity(proxy_name="any"), x_first="", x_second="jane", x_team="a", x_role="b", x_remote_uid="7", x_e_k="v")
    assert await user_of(asked, headers) == User("jane", "", ("a", "b", "system:authenticated"), {"k": ("v",)})
    assert asked.headers == {}  # The standard headers go as well.


async def test_the_anonymous_user_is_not_made_known() -> None:
    assert (await user_of(request(PROXY, x_remote_user="system:anonymous", x_remote_group="system:unauthenticated"))).groups == (
        "system:unauthenticated",
    )


def test_nobody_behind_the_server_sees_who_calls() -> None:
    names, prefixes = identity_headers(RequestHeaders(username=("X-Name",)))
    sent = {"x-name": "a", "x-remote-user": "b", "X-Remote-Extra-k".lower(): "c", "x-other": "d"}
    assert without_identity(sent, names, prefixes) == {"x-other": "d"}


def test_uid_headers_need_the_standard_one() -> None:
    assert RequestHeaders(uid=("X-Id",)).faults() == [
        "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work"
    ]
    assert RequestHeaders(uid=("X-Id", "x-remote-uid")).faults() == []
