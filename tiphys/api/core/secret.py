"""Secret: defaults, validation, columns and registration."""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.data import MAX_DATA, validate_immutable, validate_keys
from tiphys.api.core.v1 import Secret
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, invalid, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, immutable


def default_secret(secret: Secret) -> None:
    """The type, and `stringData`, which is a way to write `data` and is never stored."""
    secret.type = secret.type or "Opaque"
    if secret.stringData:
        secret.data.update((key, value.encode()) for key, value in secret.stringData.items())
        secret.stringData = {}


def validate_secret(secret: Secret) -> Errors:
    """Return the mistakes in a secret: keys, size, and the keys that its type demands ("Secrets: Types of Secret")."""
    errors: Errors = []
    if validate_keys(errors, "data", secret.data) > MAX_DATA:
        errors.append(FieldError("FieldValueTooLong", "data", f"may not be more than {MAX_DATA} bytes"))
    data = secret.data
    match secret.type:
        case "kubernetes.io/service-account-token":
            name = "kubernetes.io/service-account.name"
            if not secret.metadata.annotations.get(name):
                errors.append(required(f"metadata.annotations[{name}]"))
        case "kubernetes.io/dockercfg":
            _json(errors, ".dockercfg", data)
        case "kubernetes.io/dockerconfigjson":
            _json(errors, ".dockerconfigjson", data)
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                errors += [required("data[username]"), required("data[password]")]
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                errors.append(required("data[ssh-privatekey]"))
        case "kubernetes.io/tls":
            errors += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return errors


def _json(errors: Errors, key: str, data: dict[str, bytes]) -> None:
    """Credentials of registries are a JSON object; the message never shows them."""
    if key not in data:
        errors.append(required(f"data[{key}]"))
        return
    try:
        msgspec.json.decode(data[key], type=dict[str, object])
    except msgspec.DecodeError:
        errors.append(invalid(f"data[{key}]", "<secret contents redacted>", "must be a valid JSON object"))


def validate_secret_update(new: Secret, old: Secret) -> Errors:
    """Refuse changes of the type, and of an immutable secret ("Immutable Secrets")."""
    errors: Errors = []
    immutable(errors, "type", new.type, old.type)
    return errors + validate_immutable(new, old, ("data",))


class SecretRules(Rules[Secret]):
    default = staticmethod(default_secret)
    validate = staticmethod(validate_secret)
    validate_update = staticmethod(validate_secret_update)


COLUMNS = (
    NAME,
    Column("Type", cell(lambda obj: obj.type), description="What the secret is for."),
    Column("Data", cell(lambda obj: len(obj.data)), description="How many keys it has."),
    AGE,
)

SECRETS: Kind[core.Secret] = Kind(
    type=core.Secret, plural="secrets", rules=SecretRules(), columns=COLUMNS, selectable={"type": lambda secret: secret.type}
)
