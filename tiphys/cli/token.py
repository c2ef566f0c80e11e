"""`tiphys token`: create tokens for service accounts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option, seconds, settings_of
from tiphys.daemon.settings import ClusterSettings


@click.group()
def command() -> None:
    """Create tokens for service accounts."""


@command.command()
@data_dir_option
@click.argument("service_account", metavar="SERVICEACCOUNT")
@click.option("-n", "--namespace", default="default", help="Namespace of the service account (default: default).")
@click.option(
    "--duration",
    type=seconds,
    default="0",
    metavar="DURATION",
    help="Lifetime of the token, such as 90m, 24h or 3600 (default: chosen by the API server).",
)
@click.option("--audience", "audiences", multiple=True, help="Intended audience of the token; repeatable (default: the API server).")
def create(data_dir: Path, service_account: str, namespace: str, duration: int, audiences: tuple[str, ...]) -> None:
    """Print a new token for SERVICEACCOUNT."""
    settings = settings_of(data_dir, {})
    if not settings.admin_kubeconfig.exists():
        raise Failure(f"no cluster in {settings.data_dir}: start one with tiphys up", code=1)
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
        response = await client.post(core.ServiceAccount, name, namespace, "token", body, authentication.TokenRequest)
    except StatusError as error:
        raise Failure(f"cannot create a token for {namespace}/{name}: {error}", code=1) from error
    except ConnectionError as error:
        raise Failure(f"cannot reach {settings.server_url} ({error}): run tiphys status", code=1) from error
    finally:
        await client.close()
    return response.status.token
