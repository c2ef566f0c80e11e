"""Controllers of certificate signing requests: one signs, one approves nodes' own requests, one removes old requests."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tiphys.api.authorization.v1 import ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec
from tiphys.api.certificates.certificate_signing_request import Unreadable, read_request
from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from tiphys.api.helpers.certificates import KUBELET_CLIENT, has_condition, kubelet_client_fault
from tiphys.controllers.certificates.plan import Authority, CannotSign, expires, is_self_node, issue, lifetime, signer_fault
from tiphys.controllers.certificates.settings import SigningSettings
from tiphys.runtime import (
    DONE,
    ControllerContext,
    Declaration,
    Key,
    LoopSettings,
    Result,
    Terminal,
    Whole,
    copied,
    delete_exact,
    update_present,
    write_status,
)

GROUP = "certificates.k8s.io"


def _read(csr: CertificateSigningRequest) -> x509.CertificateSigningRequest:
    try:
        return read_request(csr.spec.request)
    except Unreadable as error:
        raise Terminal(f"unable to parse csr {csr.metadata.name}: {error}") from None


def _declared(name: str, settings: type[LoopSettings] | None = None) -> Declaration:
    return Declaration(
        name=name,
        kind=CertificateSigningRequest,
        roles=("certificate-controller",),
        reads=(Whole(CertificateSigningRequest),),
        settings=settings,
    )


class _CsrController:
    """Base of the loops over requests. Keys are requests."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._requests = ctx.read(CertificateSigningRequest)
        ctx.watch(self._requests)


class CsrSigningController(_CsrController):
    """Signs approved requests, for the signers of this cluster. Nothing else reads the key of the cluster's authority."""

    declaration = _declared("csrsigning", SigningSettings)

    def __init__(self, settings: SigningSettings) -> None:
        self._certificate, self._key = Path(settings.certificate), Path(settings.key)
        self._longest = timedelta(seconds=settings.duration)

    async def reconcile(self, key: Key) -> Result:
        csr = self._requests.get(key)
        if csr is None or csr.status.certificate or not has_condition(csr, "Approved") or has_condition(csr, "Failed"):
            return DONE
        request = _read(csr)
        fault = signer_fault(csr, request)
        if fault is None:
            return DONE
        changed = copied(csr.status)
        if fault:
            failed = CertificateSigningRequestCondition(type="Failed", status="True", reason="SignerValidationFailure", message=fault)
            changed.conditions = [*changed.conditions, failed]
        else:
            authority = await asyncio.to_thread(self._authority)
            life = lifetime(csr.spec.expirationSeconds, self._longest)
            certificate = issue(request, csr.spec.usages, life, authority, self._ctx.clock.now(), x509.random_serial_number())
            changed.certificate = certificate.public_bytes(serialization.Encoding.PEM)
        await write_status(self._ctx.client, csr, changed)
        return DONE

    def _authority(self) -> Authority:
        certificate = x509.load_pem_x509_certificate(self._certificate.read_bytes())
        key: Any = serialization.load_pem_private_key(self._key.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise CannotSign(f"{self._key} holds neither an ECDSA nor an RSA key")
        return Authority(certificate, key)


class CsrApprovingController(_CsrController):
    """Approves client certificates of kubelets if RBAC allows: for themselves, or for new nodes ("TLS bootstrapping")."""

    declaration = _declared("csrapproving")

    async def reconcile(self, key: Key) -> Result:
        csr = self._requests.get(key)
        if csr is None or csr.status.certificate or has_condition(csr, "Approved") or has_condition(csr, "Denied"):
            return DONE
        if csr.spec.signerName != KUBELET_CLIENT:
            return DONE
        request = _read(csr)
        if kubelet_client_fault(request, csr.spec.usages):
            return DONE
        if is_self_node(csr, request) and await self._is_allowed(csr, "selfnodeclient"):
            return await self._approve(csr, "Auto approving self kubelet client certificate after SubjectAccessReview.")
        if await self._is_allowed(csr, "nodeclient"):
            return await self._approve(csr, "Auto approving kubelet client certificate after SubjectAccessReview.")
        return DONE

    async def _is_allowed(self, csr: CertificateSigningRequest, subresource: str) -> bool:
        spec = csr.spec
        wish = ResourceAttributes(verb="create", group=GROUP, version="*", resource="certificatesigningrequests", subresource=subresource)
        review = SubjectAccessReview(
            spec=SubjectAccessReviewSpec(user=spec.username, uid=spec.uid, groups=spec.groups, extra=spec.extra, resourceAttributes=wish)
        )
        return (await self._ctx.client.create(review)).status.allowed

    async def _approve(self, csr: CertificateSigningRequest, message: str) -> Result:
        changed = copied(csr)
        approved = CertificateSigningRequestCondition(type="Approved", status="True", reason="AutoApproved", message=message)
        changed.status.conditions = [*changed.status.conditions, approved]
        await update_present(self._ctx.client, changed, subresource="approval")
        return DONE


class CsrCleaner(_CsrController):
    """Removes requests that are of no more use."""

    declaration = _declared("csrcleaner")

    async def reconcile(self, key: Key) -> Result:
        csr = self._requests.get(key)
        end = expires(csr) if csr is not None else None
        if csr is None or end is None:
            return DONE
        left = (end - self._ctx.clock.now()).total_seconds()
        if left >= 0:
            return Result(left + 1.0)
        await delete_exact(self._ctx.client, CertificateSigningRequest, csr.metadata)
        return DONE
