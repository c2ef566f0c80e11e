"""CertificateSigningRequest: defaults, validation, columns and registration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tiphys.api.certificates import v1 as certificates
from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.helpers.certificates import has_condition
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell, duration
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required, too_long
from tiphys.api.machinery.names import dns_label_messages, dns_subdomain_messages, path_segment
from tiphys.api.machinery.scheme import Author, Column, Kind, Part, Subresource
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors

if TYPE_CHECKING:
    from cryptography import x509


LEGACY_SIGNER: Final = "kubernetes.io/legacy-unknown"

USAGES: Final = tuple(
    sorted(
        (
            *("signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment", "cert sign"),
            *("crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing", "email protection"),
            *("s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing", "microsoft sgc", "netscape sgc"),
        )
    )
)

SHORTEST: Final = 600
"""Seconds that a certificate must be asked for at least."""

_DECISIONS: Final = ("Approved", "Denied")
_FINAL: Final = (*_DECISIONS, "Failed")
_STATUSES: Final = ("False", "True", "Unknown")
_LONGEST_DOMAIN = 253
_LONGEST_SIGNER = 253 + 253 + 63 + 2
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]++)-----\s*+")
_END = re.compile(rb"-----END ([A-Z0-9 ]++)-----")
_CONDITIONS = "status.conditions"


class Unreadable(ValueError):
    """The bytes are not a certificate request; the message says why."""


class _Block(NamedTuple):
    """A block of PEM: its type as both of its lines say it, what is between them, and the whole."""

    begins: bytes
    ends: bytes
    content: bytes
    text: bytes


def _blocks(pem: bytes) -> Iterator[_Block]:
    """The blocks of a text one after the other. Each search goes on where the last one ended, so the time is linear in the length."""
    place = 0
    while (begin := _BEGIN.search(pem, place)) and (end := _END.search(pem, begin.end())):
        yield _Block(begin[1], end[1], pem[begin.end() : end.start()], pem[begin.start() : end.end()] + b"\n")
        place = end.end()


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """The PKCS #10 request in PEM. Raises Unreadable."""
    from cryptography import x509

    block = next(_blocks(pem), None)
    if block is None or block.begins != b"CERTIFICATE REQUEST" or block.ends != block.begins:
        raise Unreadable("PEM block type must be CERTIFICATE REQUEST")
    try:
        return x509.load_pem_x509_csr(block.text)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def validate_request(csr: CertificateSigningRequest) -> Errors:
    """Return the mistakes in a request ("Certificates and Certificate Signing Requests")."""
    errors: Errors = []
    spec = csr.spec
    if message := _request_fault(spec.request):
        errors.append(invalid("spec.request", spec.request, message))
    _usages(errors, spec.usages)
    _signer(errors, "spec.signerName", spec.signerName)
    if spec.expirationSeconds is not None and spec.expirationSeconds < SHORTEST:
        message = f"may not specify a duration less than {SHORTEST} seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", spec.expirationSeconds, message))
    return errors


def _request_fault(pem: bytes) -> str:
    try:
        request = read_request(pem)
        sound = request.is_signature_valid
    except Exception as error:  # cryptography has no common base for keys and algorithms that it does not know
        return str(error)
    return "" if sound else "x509: the signature does not belong to the key of the request"


def _usages(errors: Errors, usages: list[str]) -> None:
    if not usages:
        errors.append(required("spec.usages"))
    seen: set[str] = set()
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            errors.append(not_supported(f"spec.usages[{index}]", usage, USAGES))
        if usage in seen:
            errors.append(duplicate(f"spec.usages[{index}]", usage))
        seen.add(usage)


def _signer(errors: Errors, path: str, name: str) -> None:
    """A name like `example.com/signer`."""
    if name == LEGACY_SIGNER:
        errors.append(invalid(path, name, "the legacy signerName is not allowed via this API version"))
        return
    if not name:
        errors.append(required(path))
        return
    domain, slash, rest = name.partition("/")
    if not slash or "/" in rest:
        errors.append(invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"))
        return
    if len(domain) > _LONGEST_DOMAIN:
        errors.append(too_long(path, _LONGEST_DOMAIN))
    for part, messages in ((domain, dns_label_messages), (rest, dns_subdomain_messages)):
        for label in part.split("."):
            if wrong := messages(label):
                errors.extend(invalid(path, part, f'validating label "{label}": {message}') for message in wrong)
                break
    if "." not in domain:
        errors.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    if len(name) > _LONGEST_SIGNER:
        errors.append(too_long(path, _LONGEST_SIGNER))


def validate_request_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Errors:
    """An update of the status: it may set the certificate, once, but decides nothing."""
    errors = _conditions(new)
    if new.status.certificate != old.status.certificate:
        if message := _certificate_fault(new.status.certificate):
            errors.append(invalid("status.certificate", "<certificate data>", message))
        if old.status.certificate:
            errors.append(forbidden("status.certificate", "updates may not modify existing certificate content"))
    _removed(errors, new, old)
    for type_ in _DECISIONS:
        if len(_of_type(new, type_)) > len(_of_type(old, type_)):
            errors.append(forbidden(_CONDITIONS, f'updates may not add a condition of type "{type_}"'))
    return errors


def validate_request_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Errors:
    """An update of the approval: once decided, it stays."""
    errors = _conditions(new)
    _removed(errors, new, old)
    return errors


def _conditions(csr: CertificateSigningRequest) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, condition in enumerate(csr.status.conditions):
        path, type_ = f"{_CONDITIONS}[{index}]", condition.type
        if not type_:
            errors.append(required(f"{path}.type"))
        allowed = ("True",) if type_ in _FINAL else _STATUSES
        if not condition.status:
            errors.append(required(f"{path}.status"))
        elif condition.status not in allowed:
            errors.append(not_supported(f"{path}.status", condition.status, allowed))
        if type_ in _DECISIONS and any(other in seen for other in _DECISIONS if other != type_):
            errors.append(invalid(_CONDITIONS, type_, "Approved and Denied conditions are mutually exclusive"))
        if type_ in seen:
            errors.append(duplicate(f"{path}.type", type_))
        seen.add(type_)
    return errors


def _removed(errors: Errors, new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    for type_ in _FINAL:
        if len(_of_type(new, type_)) < len(_of_type(old, type_)):
            errors.append(forbidden(_CONDITIONS, f'updates may not remove a condition of type "{type_}"'))


def _of_type(csr: CertificateSigningRequest, type_: str) -> list[CertificateSigningRequestCondition]:
    return [condition for condition in csr.status.conditions if condition.type == type_]


def _certificate_fault(pem: bytes) -> str:
    from cryptography import x509

    if not pem:
        return ""
    any_block = False
    for block in _blocks(pem):
        any_block = True
        if block.begins != b"CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block.begins.decode()}"'
        if b":" in block.content:
            return "no PEM block headers are permitted"
        try:
            x509.load_pem_x509_certificate(block.text)
        except ValueError as error:
            return str(error)
    return "" if any_block else "must contain at least one CERTIFICATE PEM block"


def _sign_as(csr: CertificateSigningRequest, author: Author) -> None:
    spec = csr.spec
    spec.username, spec.uid, spec.groups = author.name, author.uid, list(author.groups)
    spec.extra = {key: list(values) for key, values in author.extra.items()}


def _date(new: CertificateSigningRequest, old: CertificateSigningRequest, now: datetime) -> None:
    """Date conditions without times: now, or when they were first seen."""
    for condition in new.status.conditions:
        condition.lastUpdateTime = condition.lastUpdateTime or now
        if condition.lastTransitionTime is None:
            same = (one for one in old.status.conditions if (one.type, one.status) == (condition.type, condition.status))
            condition.lastTransitionTime = next((one.lastTransitionTime for one in same if one.lastTransitionTime), now)


def _keep_certificate(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    new.status.certificate = old.status.certificate


class CertificateSigningRequestRules(Uncounted[CertificateSigningRequest]):
    """The server records the requester; the request never changes, only the approver and the signer add to it."""

    resets = MappingProxyType(
        {
            "": (("spec",), ("status",)),
            "status": (("spec",), ("status", "conditions")),
            "approval": (("spec",), ("status", "certificate")),
        }
    )
    parts = MappingProxyType({"approval": Part(_keep_certificate, validate_request_approval, of_status=True)})
    stamp_author = staticmethod(_sign_as)
    stamp_status = staticmethod(_date)

    def prepare_create(self, obj: CertificateSigningRequest) -> None:
        obj.status = CertificateSigningRequestStatus()

    def prepare_update(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
        new.spec = old.spec

    def prepare_status_update(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
        """A decision that is there stays as it is, whatever a status update says of it."""
        decided = {condition.type: condition for condition in old.status.conditions if condition.type in ("Approved", "Denied")}
        new.status.conditions = [decided.get(condition.type, condition) for condition in new.status.conditions]

    validate = staticmethod(validate_request)
    validate_status_update = staticmethod(validate_request_status)
    validate_name = staticmethod(path_segment)


def _condition(csr: CertificateSigningRequest) -> str:
    decided = next((type_ for type_ in ("Denied", "Approved") if has_condition(csr, type_)), "Pending")
    failed = ",Failed" if has_condition(csr, "Failed") else ""
    return f"{decided}{failed}{',Issued' if csr.status.certificate else ''}"


def _wanted_duration(csr: CertificateSigningRequest) -> str:
    seconds = csr.spec.expirationSeconds
    return NONE if seconds is None else duration(seconds)


COLUMNS = (
    NAME,
    AGE,
    Column("SignerName", cell(lambda obj: obj.spec.signerName or NONE), description="Who is asked to sign."),
    Column("Requestor", cell(lambda obj: obj.spec.username), description="Who asked."),
    Column("RequestedDuration", cell(_wanted_duration), description="How long the certificate should be valid."),
    Column("Condition", cell(_condition), description="Whether the request is approved, denied, failed, and issued."),
)

CERTIFICATE_SIGNING_REQUESTS: Kind[certificates.CertificateSigningRequest] = Kind(
    type=certificates.CertificateSigningRequest,
    plural="certificatesigningrequests",
    rules=CertificateSigningRequestRules(),
    columns=COLUMNS,
    group="certificates.k8s.io",
    namespaced=False,
    short_names=("csr",),
    subresources=(Subresource("approval"), STATUS),
    selectable={"spec.signerName": lambda csr: csr.spec.signerName},
)

KINDS: tuple[Kind[Any], ...] = (CERTIFICATE_SIGNING_REQUESTS,)
