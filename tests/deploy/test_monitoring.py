"""Dashboards and alerts ask for metrics that are exported, with the labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.farm.metrics import METRICS

promql_parser = pytest.importorskip("promql_parser")

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana" / "dashboards" / "penumbra.json").read_text())
FLOWER = {
    "flower_events_total": {"worker", "type", "task"},
    "flower_task_runtime_seconds_bucket": {"worker", "task", "le"},
    "flower_worker_online": {"worker"},
}
OWN = {"up": {"job", "instance"}}  # Prometheus' own
LABELS: dict[str, set[str]] = {name: set(kind.labels) for name, kind in METRICS.items()} | FLOWER | OWN


def rules() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load((MONITORING / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where it stands, the expression, and the labels that are shown of it."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']}:{target['refId']}", target["expr"], target["legendFormat"]
    for rule in rules():
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values()).replace("$labels.", "")


def metrics_of(expression: str) -> dict[str, set[str]]:
    """The metrics that an expression reads, with the labels that it chooses by."""
    plain = re.sub(r"\$(job|shot)\b", "x", expression)
    found: dict[str, set[str]] = {}

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            chosen = {matcher.name for matcher in node.matchers.matchers}
            found.setdefault(node.name, set()).update(chosen)
        return True

    promql_parser.walk(promql_parser.parse(plain), visit)
    return found


@pytest.mark.parametrize(("expression", "shown"), [pytest.param(e, s, id=where) for where, e, s in expressions()])
def test_what_is_asked_for_is_exported(expression: str, shown: str) -> None:
    used = metrics_of(expression)

    assert used and used.keys() <= LABELS.keys()
    for name, chosen in used.items():
        assert chosen <= LABELS[name], name
    available = set.union(*(LABELS[name] for name in used))
    kept = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    assert {label.strip() for group in kept for label in group.split(",")} <= available
    assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", shown)) <= available


def test_every_metric_of_ours_is_looked_at_somewhere() -> None:
    used = {name for _, expression, _ in expressions() for name in metrics_of(expression)}

    assert METRICS.keys() - used <= {"penumbra_job_priority", "penumbra_job_samples_expected"}


def test_panels_have_places_of_their_own_and_one_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    provisioned = YAML(typ="safe").load(
        (MONITORING / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel} == {
        provisioned["datasources"][0]["uid"]
    }
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_a_job_of_ours_is_not_taken_for_a_scrape_of_prometheus() -> None:
    config = YAML(typ="safe").load((MONITORING / "prometheus" / "prometheus.yml").read_text())
    scrapes = {each["job_name"]: each for each in config["scrape_configs"]}

    assert scrapes["penumbra"]["honor_labels"] is True and set(scrapes) == {"penumbra", "flower"}
    assert all(each["scheme"] == "https" and each["tls_config"]["ca_file"] for each in scrapes.values())
