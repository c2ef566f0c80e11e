"""Making tokens: the `token` subresource of service accounts (TokenRequest)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from tiphys.api.authentication.v1 import BoundObjectReference, TokenRequest, TokenRequestStatus
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import BadRequest, Conflict, FieldError, Invalid, NotFound, invalid, too_long
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.meta.v1.status import StatusDetails
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.auth.tokens import Claims, KubernetesClaims, Reference, SigningKey
from tiphys.apiserver.auth.user import SERVICE_ACCOUNT_PREFIX
from tiphys.apiserver.uid import new_uid

GROUP: Final = "authentication.k8s.io"
DEFAULT_SECONDS: Final = 3600
MIN_SECONDS: Final = 600
MAX_SECONDS: Final = 1 << 32
WARN_ONLY_SECONDS: Final = 3607
"""The lifetime that admission puts on the tokens of pods. Old programs read such a token once and keep it, so it really lives a year;
the claim `warnafter` says when it should have been renewed (KEP-1205)."""
EXTENDED_SECONDS: Final = 365 * 24 * 3600


def validate_token_request(request: TokenRequest) -> list[FieldError]:
    """Mistakes in a TokenRequest whose lifetime is set."""
    errors: list[FieldError] = []
    seconds = request.spec.expirationSeconds or 0
    if seconds < MIN_SECONDS:
        errors.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MAX_SECONDS:
        errors.append(FieldError("FieldValueTooLong", "spec.expirationSeconds", "may not specify a duration larger than 2^32 seconds"))
    for index, audience in enumerate(request.spec.audiences):
        if len(audience) > 1024:
            errors.append(too_long(f"spec.audiences[{index}]", 1024))
    return errors


class TokenIssuer:
    """Issues tokens for service accounts.

    Admission comes between `prepare` and `issue`: it sees the audiences as they were asked for. `request` does both for callers without
    admission.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audiences: Sequence[str],
        key: SigningKey,
        source: ObjectSource,
        max_seconds: int = 0,
        extend: bool = True,
        new_id: Callable[[], str] = new_uid,
    ) -> None:
        self.issuer = issuer
        self.audiences = tuple(audiences)
        self._key = key
        self._source = source
        self._max_seconds = max_seconds
        self._extend = extend
        self._new_id = new_id

    def prepare(self, request: TokenRequest, namespace: str, name: str) -> None:
        """Validate a request for the service account and fill in, in place, what it leaves out: all but the audiences.

        Raises Invalid, NotFound and Conflict.
        """
        metadata = request.metadata
        if metadata.name and metadata.name != name:
            raise _invalid(name, [invalid("metadata.name", metadata.name, "must match the service account name if specified")])
        if metadata.namespace and metadata.namespace != namespace:
            raise _invalid(
                name, [invalid("metadata.namespace", metadata.namespace, "must match the service account namespace if specified")]
            )
        account = self._account(namespace, name)
        if metadata.uid and metadata.uid != account.metadata.uid:
            raise Conflict.object(
                "TokenRequest",
                name,
                f"the UID in the token request ({metadata.uid}) does not match the UID of the service account ({account.metadata.uid})",
                group=GROUP,
            )
        metadata.name, metadata.namespace, metadata.uid = name, namespace, account.metadata.uid
        if request.spec.expirationSeconds is None:
            request.spec.expirationSeconds = DEFAULT_SECONDS
        request.status = TokenRequestStatus()
        errors = validate_token_request(request)
        if errors:
            raise _invalid("", errors)

    def issue(self, request: TokenRequest, namespace: str, name: str, now: datetime) -> list[str]:
        """Put the token into the status of a prepared request; returns warnings. Raises NotFound, BadRequest and Conflict."""
        account = self._account(namespace, name)
        bound = self._bound(request.spec.boundObjectRef, namespace, name)
        warnings: list[str] = []
        seconds = request.spec.expirationSeconds or DEFAULT_SECONDS
        if 0 < self._max_seconds < seconds:
            warnings.append(f"requested expiration of {seconds} seconds shortened to {self._max_seconds} seconds")
            seconds = request.spec.expirationSeconds = self._max_seconds
        if not request.spec.audiences:
            request.spec.audiences = list(self.audiences)
        start = int(now.timestamp())
        lifetime, warn_after = seconds, None
        if self._extends(request, seconds):
            lifetime, warn_after = EXTENDED_SECONDS, start + seconds
        claims = Claims(
            iss=self.issuer,
            sub=f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}",
            aud=tuple(request.spec.audiences),
            exp=start + lifetime,
            iat=start,
            nbf=start,
            jti=self._new_id(),
            kubernetes=KubernetesClaims(namespace, _reference(account), **bound, warnafter=warn_after),
        )
        request.metadata.creationTimestamp = time(now)
        request.status = TokenRequestStatus(
            token=self._key.sign(claims), expirationTimestamp=time(datetime.fromtimestamp(start, now.tzinfo) + timedelta(seconds=seconds))
        )
        return warnings

    def request(self, request: TokenRequest, namespace: str, name: str, now: datetime) -> list[str]:
        """`prepare` and `issue`."""
        self.prepare(request, namespace, name)
        return self.issue(request, namespace, name, now)

    def _extends(self, request: TokenRequest, seconds: int) -> bool:
        ref = request.spec.boundObjectRef
        pod_bound = ref is not None and ref.kind == "Pod"
        return self._extend and pod_bound and seconds == WARN_ONLY_SECONDS and set(request.spec.audiences) <= set(self.audiences)

    def _account(self, namespace: str, name: str) -> core.ServiceAccount:
        account = self._source.get(core.ServiceAccount, namespace, name)
        if account is None:
            raise NotFound.object("serviceaccounts", name)
        return account

    def _bound(self, ref: BoundObjectReference | None, namespace: str, account: str) -> dict[str, Reference]:
        if ref is None:
            return {}
        if ref.apiVersion not in ("", "v1") or ref.kind not in ("Pod", "Secret", "Node"):
            raise BadRequest(f"cannot bind token to object of type {ref.apiVersion}, Kind={ref.kind}")
        bound: dict[str, Reference] = {}
        obj: KubeObject | None
        if ref.kind == "Pod":
            obj = pod = self._source.get(core.Pod, namespace, ref.name)
            if pod is not None:
                if pod.spec.serviceAccountName != account:
                    raise BadRequest(f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.')
                if pod.spec.nodeName:
                    node = self._source.get(core.Node, "", pod.spec.nodeName)
                    # The name alone still helps readers of the token.
                    bound["node"] = _reference(node) if node is not None else Reference(pod.spec.nodeName)
        elif ref.kind == "Secret":
            obj = self._source.get(core.Secret, namespace, ref.name)
        else:
            obj = self._source.get(core.Node, "", ref.name)
        if obj is None:
            raise NotFound.object(f"{ref.kind.lower()}s", ref.name)
        if ref.uid and ref.uid != obj.metadata.uid:
            why = (
                f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise Conflict(
                f'Operation cannot be fulfilled on {ref.kind} "{ref.name}": {why}', details=StatusDetails(name=ref.name, kind=ref.kind)
            )
        bound[ref.kind.lower()] = _reference(obj)
        return bound


def _reference(obj: KubeObject) -> Reference:
    return Reference(obj.metadata.name, obj.metadata.uid)


def _invalid(name: str, errors: list[FieldError]) -> Invalid:
    return Invalid.object("TokenRequest", name, errors, group=GROUP)
