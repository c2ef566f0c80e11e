"""kubeconfig files: addresses of servers and our credentials ("Organizing Cluster Access Using kubeconfig Files").

Only what Tiphys itself needs is understood: certificates and tokens, inline or in files. Credential plugins are refused with a ValueError.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random

import msgspec
import yaml

from tiphys.aio.clock import Clock
from tiphys.client.client import Client
from tiphys.client.rest import HttpTransport
from tiphys.client.tls import Pem, read_pem

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class _Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    pass


class Cluster(_Part, rename="kebab"):
    """Address of a server and the authorities to trust. Data is base64."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False


class User(_Part, rename="kebab"):
    """Credentials of a user. Data is base64."""

    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    exec: dict[str, object] | None = None


class Context(_Part):
    """Pair of a user and a cluster."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


class NamedCluster(_Part):
    name: str
    cluster: Cluster


class NamedUser(_Part):
    name: str
    user: User


class NamedContext(_Part):
    name: str
    context: Context


class Config(_Part):
    """Contents of a kubeconfig. Relative file names start at `folder`."""

    apiVersion: str = msgspec.field(default_factory=lambda: "v1")
    kind: str = msgspec.field(default_factory=lambda: "Config")
    clusters: list[NamedCluster] = msgspec.field(default_factory=list)
    users: list[NamedUser] = msgspec.field(default_factory=list)
    contexts: list[NamedContext] = msgspec.field(default_factory=list)
    current_context: str = msgspec.field(name="current-context", default="")

    def select(self, context: str = "") -> tuple[Cluster, User, Context]:
        """Return the parts that a context (by default the current one) names; raises ValueError for missing ones."""
        name = context or self.current_context
        chosen = next((entry.context for entry in self.contexts if entry.name == name), None)
        if chosen is None:
            raise ValueError(f"the kubeconfig has no context {name!r}")
        cluster = next((entry.cluster for entry in self.clusters if entry.name == chosen.cluster), None)
        if cluster is None:
            raise ValueError(f"the kubeconfig has no cluster {chosen.cluster!r}")
        user = next((entry.user for entry in self.users if entry.name == chosen.user), User())
        return cluster, user, chosen


def build(
    server: str,
    *,
    name: str = "tiphys",
    user: str = "admin",
    ca: Pem | None = None,
    cert: Pem | None = None,
    key: Pem | None = None,
    token: str = "",
    namespace: str = "",
) -> Config:
    """Return a kubeconfig for one user at one server, with everything inline, so that the file can be copied elsewhere."""
    return Config(
        clusters=[NamedCluster(name=name, cluster=Cluster(server=server, certificate_authority_data=_encoded(ca)))],
        users=[NamedUser(name=user, user=User(client_certificate_data=_encoded(cert), client_key_data=_encoded(key), token=token))],
        contexts=[NamedContext(name=name, context=Context(cluster=name, user=user, namespace=namespace))],
        current_context=name,
    )


def read(path: str | Path) -> Config:
    """Read a kubeconfig. Raises OSError, and ValueError for a file that is not one."""
    try:
        return msgspec.convert(yaml.load(Path(path).read_bytes(), yaml.CSafeLoader) or {}, Config)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ValueError(f"{path} is not a kubeconfig: {error}") from error


def save(path: str | Path, config: Config) -> None:
    """Write a kubeconfig, readable by its owner only; the file is replaced in one step."""
    path = Path(path)
    text = yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False)
    # mkstemp makes the file with mode 0600.
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def transport(
    config: Config, *, context: str = "", folder: Path = Path(), clock: Clock | None = None, server: str = "", anonymous: bool = False
) -> HttpTransport:
    """Return the transport for a context, with `server` in place of its address if given; relative file names start at `folder`.

    An `anonymous` one has no credentials, so that its requests can bring their own. Raises ValueError and OSError.
    """
    cluster, user, _ = config.select(context)
    if anonymous:
        user = User()
    if user.exec is not None:
        raise ValueError("credential plugins (exec) are not supported")
    return HttpTransport(
        server or cluster.server,
        ca=_pem(cluster.certificate_authority_data, cluster.certificate_authority, folder),
        cert=_pem(user.client_certificate_data, user.client_certificate, folder),
        key=_pem(user.client_key_data, user.client_key, folder),
        token=user.token,
        token_file=folder / user.token_file if user.token_file else None,
        insecure=cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name,
        clock=clock,
    )


def load(
    path: str | Path, *, context: str = "", user_agent: str = "tiphys", clock: Clock | None = None, rng: Random | None = None
) -> Client:
    """Return a client from a kubeconfig file. Raises OSError, and ValueError for a file without a server's address."""
    transport_ = transport(read(path), context=context, folder=Path(path).parent, clock=clock)
    return Client(transport_, user_agent=user_agent, clock=clock, rng=rng)


def in_cluster(environ: Mapping[str, str], *, folder: Path = IN_CLUSTER, user_agent: str = "tiphys", clock: Clock | None = None) -> Client:
    """Return a client for a process in a pod, from its service account's files and the pod's environment. Raises ValueError elsewhere."""
    return Client(pod_transport(environ, folder=folder, clock=clock), user_agent=user_agent, clock=clock)


def pod_transport(
    environ: Mapping[str, str],
    *,
    folder: Path = IN_CLUSTER,
    clock: Clock | None = None,
    server: str = "",
    anonymous: bool = False,
) -> HttpTransport:
    """Return the transport of `in_cluster`, with the parameters of `transport`. Raises ValueError outside of a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ValueError("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    address = f"[{host}]" if ":" in host else host
    token = None if anonymous else folder / "token"
    return HttpTransport(server or f"https://{address}:{port}", ca=folder / "ca.crt", token_file=token, clock=clock)


def _pem(data: str, file: str, folder: Path) -> Pem | None:
    """Return PEM data; inline data takes precedence over a file, as in kubectl."""
    if data:
        return base64.b64decode(data)
    return folder / file if file else None


def _encoded(pem: Pem | None) -> str:
    return base64.b64encode(read_pem(pem)).decode() if pem is not None else ""
