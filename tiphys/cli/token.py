"""`tiphys token`: tokens for service accounts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option, seconds, settings_of
from tiphys.daemon.settings import ClusterSettings


@click.group()
def command() -> None:
    """Make tokens that authenticate service accounts."""


@command.command()
@data_dir_option
@click.argument("service_account", metavar="SERVICEACCOUNT")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the service account.")
@click.option(
    "--duration",
    type=seconds,
    default="0",
    show_default=False,
    help="How long the token is valid: 90m, 24h, 3600 (by default the server decides).",
)
@click.option("--audience", "audiences", multiple=True, help="Who the token is for (the API server); may be repeated.")
def create(data_dir: Path, service_account: str, namespace: str, duration: int, audiences: tuple[str, ...]) -> None:
    """Print a new token for SERVICEACCOUNT."""
    settings = settings_of(data_dir, {})
    if not settings.admin_kubeconfig.exists():
        raise Failure(f"there is no cluster in {settings.data_dir}: start one with tiphys up", code=1)
    click.echo(asyncio.run(_request(settings, service_account, namespace, duration, audiences)))


async def _request(settings: ClusterSettings, name: str, namespace: str, duration: int, audiences: tuple[str, ...]) -> str:
    from tiphys.api.authentication import v1 as authentication
    from tiphys.api.core import v1 as core
    from tiphys.api.machinery.errors import StatusError
    from tiphys.client import kubeconfig

    spec = authentication.TokenRequestSpec(audiences=list(audiences), expirationSeconds=duration or None)
    client = kubeconfig.load(settings.admin_kubeconfig)
    try:
        body = authentication.TokenRequest(spec=spec)
        answer = await client.post(core.ServiceAccount, name, namespace, "token", body, authentication.TokenRequest)
    except StatusError as error:
        raise Failure(f"no token for {namespace}/{name}: {error}", code=1) from error
    except ConnectionError as error:
        raise Failure(f"{settings.server_url} does not answer ({error}): look at tiphys status", code=1) from error
    finally:
        await client.close()
    return answer.status.token
