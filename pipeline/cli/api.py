"""`pipeline api`: the farm's server, its tokens, its OpenAPI document."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import farm_option, farm_settings, out_option, store_of

TOKENS = "PIPELINE_API_TOKENS"


def _tokens_option(command: Any) -> Any:
    return click.option(
        "--tokens",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=TOKENS,
        required=True,
        help=f"File of the tokens' digests.  [${TOKENS}]",
    )(command)


@click.group()
def api() -> None:
    """Serve the farm over HTTP: submit, inspect, control, follow; metrics for Prometheus.

    \b
    pipeline api token alice --role write --tokens tokens.json
    pipeline api serve --tokens tokens.json --project /studio/show
    PIPELINE_API_TOKEN=pen_… pipeline --api http://localhost:8080 status shot_010
    """


@api.command()
@_tokens_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="Directory that holds shots/: what is submitted comes from there.",
)
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM file, for TLS.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM file of its key.")
@click.option("--audit", type=click.Path(dir_okay=False, path_type=Path), help="File that audit lines are appended to.")
@click.option(
    "--webhook",
    "webhooks",
    multiple=True,
    envvar="PIPELINE_WEBHOOKS",
    metavar="URL",
    help="Is told of first frames and ends; may be given several times.  [$PIPELINE_WEBHOOKS]",
)
@farm_option
@out_option
def serve(
    tokens: Path,
    host: str,
    port: int,
    project: Path,
    certificate: Path | None,
    key: Path | None,
    audit: Path | None,
    webhooks: tuple[str, ...],
    farm: str | None,
    out: str | None,
) -> None:
    """Serve until Ctrl-C. The broker must answer when it starts."""
    from pipeline.api.app import create_app
    from pipeline.api.serving import serve as run
    from pipeline.api.tokens import Tokens
    from pipeline.errors import ConfigError
    from pipeline.farm.client import Farm

    settings = farm_settings(farm)
    Tokens(tokens).all()
    for url in webhooks:
        if not url.startswith(("http://", "https://")):
            raise ConfigError("is not the URL of a webhook", path="--webhook")
    if (certificate is None) != (key is None):
        raise ConfigError("a certificate needs its key, and the other way round", path="--certificate")
    connected = Farm.connect(store_of(settings, out), settings)
    paths = {name: None if path is None else path.absolute() for name, path in (("audit", audit), ("tokens", tokens))}
    assert paths["tokens"] is not None
    os.chdir(project)
    logging.getLogger("penumbra.audit").setLevel(logging.INFO)
    app = create_app(
        connected,
        tokens=paths["tokens"],
        project=Path.cwd(),
        audit=paths["audit"],
        webhooks=webhooks,
        secret=os.environ.get("PIPELINE_WEBHOOK_SECRET"),
    )
    scheme = "http" if certificate is None else "https"
    click.echo(f"serving {connected.store.url} at {scheme}://{host}:{port}", err=True)
    run(app, host=host, port=port, certificate=certificate, key=key)


@api.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["read", "write"]), default="read", show_default=True, help="What it may do.")
@_tokens_option
def token(name: str, role: str, tokens: Path) -> None:
    """Make a token for NAME and print it: the only time that it can be seen."""
    from typing import cast

    from pipeline.api.tokens import Role, issue

    click.echo(issue(tokens, name, cast(Role, role)))


@api.command()
@click.argument("name")
@_tokens_option
def revoke(name: str, tokens: Path) -> None:
    """End NAME's token at once."""
    from pipeline.api.tokens import revoke as end

    end(tokens, name)
    click.echo(f"{name} is revoked")


@api.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    import tempfile

    from pipeline.api.app import create_app
    from pipeline.config.farm import Farm as FarmConfig
    from pipeline.farm.client import Farm
    from pipeline.farm.store import LocalStore

    with tempfile.TemporaryDirectory() as folder:
        farm = Farm.offline(LocalStore(folder), FarmConfig())
        click.echo(json.dumps(create_app(farm, tokens=Path(folder, "none"), project=Path(folder)).openapi(), indent=2))
