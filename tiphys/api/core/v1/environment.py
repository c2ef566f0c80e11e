"""The core group, v1: environment of a container."""

from __future__ import annotations

from tiphys.api.core.v1.reference import (
    ConfigMapKeySelector,
    FileKeySelector,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretKeySelector,
)
from tiphys.api.machinery.base import Struct, always


class ConfigMapEnvSource(Struct):
    """A ConfigMap whose keys become environment variables."""

    optional: bool | None = None
    """True if the container starts when the ConfigMap does not exist."""
    name: str = ""
    """The ConfigMap in the pod's namespace."""


class SecretEnvSource(Struct):
    """A Secret whose keys become environment variables."""

    optional: bool | None = None
    """True if the container starts when the Secret does not exist."""
    name: str = ""
    """The Secret in the pod's namespace."""


class EnvFromSource(Struct):
    """A set of environment variables; one of the two references is set."""

    prefix: str = ""
    """Put before every key."""
    configMapRef: ConfigMapEnvSource | None = None
    """The ConfigMap to read."""
    secretRef: SecretEnvSource | None = None
    """The Secret to read."""


class EnvVarSource(Struct):
    """Source of the value of a variable; exactly one field is set."""

    fieldRef: ObjectFieldSelector | None = None
    """A field of the pod, such as `metadata.name`, `metadata.labels['app']` or `status.podIP`."""
    resourceFieldRef: ResourceFieldSelector | None = None
    """A request or limit of a container."""
    configMapKeyRef: ConfigMapKeySelector | None = None
    """A key of a ConfigMap."""
    secretKeyRef: SecretKeySelector | None = None
    """A key of a Secret."""
    fileKeyRef: FileKeySelector | None = None
    """A variable in a file that an init container wrote."""


class EnvVar(Struct):
    """An environment variable."""

    name: str = always(str)
    """Its name: printable ASCII without `=`."""
    value: str = ""
    """Its value. $(NAME) is replaced by an earlier variable, $$ is one dollar sign. Empty by default."""
    valueFrom: EnvVarSource | None = None
    """Source of the value, if it is not in value."""
