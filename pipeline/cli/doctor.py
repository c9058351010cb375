"""`pipeline doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pipeline.cli.options import farm_option, farm_settings, json_option, out_option

MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("fail", "red")}


@click.command()
@farm_option
@out_option
@json_option
def doctor(farm: str | None, out: str | None, as_json: bool) -> int:
    """Look at this machine: LLVM, GPU, broker, store, disk, versions, ffmpeg, denoisers.

    Each line is ok, warn (something optional is missing) or fail, with how to mend it. Exits with 1 when something
    fails without which no frame is made.
    """
    from pipeline.cli.checks import examine

    settings = farm_settings(farm)
    if out:
        settings = settings.model_copy(update={"store": out})
    findings = []
    width = len("temporary files")
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            mark, colour = MARKS[finding.state]
            click.echo(f"{click.style(mark, fg=colour)}  {finding.subject:<{width}}  {finding.message}")
            if finding.cure:
                click.echo(f"{'':{width + 8}}{click.style('→ ' + finding.cure, fg=colour)}")
    healthy = all(finding.state != "fail" for finding in findings)
    if as_json:
        click.echo(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    return 0 if healthy else 1
