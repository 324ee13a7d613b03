"""Alerts and dashboard ask for what ``/metrics`` really has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import Api, Apis, ask
from tests.support.promql import Expression, parse
from tests.support.redis_server import RedisServer

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana" / "chatorch.json").read_text(encoding="utf-8"))
AWAY = {"name": "away", "url": "http://127.0.0.1:1/mcp"}
OF_PROMETHEUS = {"up": set()}
BY_THE_SCRAPE = {"job", "instance"}


def rules() -> list[dict]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and what."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


async def exposed(apis: Apis, redis_url: str) -> dict[str, set[str]]:
    """The names of all samples, those of histograms too, with their labels."""
    api: Api = await apis.start(redis_url=redis_url, mcp_servers=[AWAY])
    await ask(await api.user("alice"))
    text = (await api.anonymous().get("/metrics")).text
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    found: dict[str, set[str]] = {}
    for collector, names in api.container.registry()._collector_to_names.items():
        for name in names:
            found[name] = set(collector._labelnames) | ({"le"} if name.endswith("_bucket") else set())
    shown = {name for name in found if name in families or name.removesuffix("_total") in families}
    buckets = {name for name in found if re.sub(r"_(bucket|count|sum)$", "", name) in families}
    return {name: found[name] for name in shown | buckets}


async def test_every_name_and_label_that_is_asked_for_is_there(apis: Apis, redis_server: RedisServer):
    there = await exposed(apis, redis_server.url) | OF_PROMETHEUS
    for place, expression in expressions():
        parsed: Expression = parse(expression)
        assert parsed.metrics, place
        for metric, labels in parsed.metrics:
            assert metric in there, f"{place} asks for {metric}"
            assert labels - BY_THE_SCRAPE <= there[metric], f"{place} asks for {labels} of {metric}"
        labels = set().union(*(there[metric] for metric, _ in parsed.metrics))
        assert parsed.grouped - BY_THE_SCRAPE <= labels, f"{place} groups by {parsed.grouped}"


async def test_values_that_alerts_look_for_are_values_that_there_are(apis: Apis):
    """A route or an outcome that was renamed would be an alert that never comes."""
    routes = set((await apis.start()).app.openapi()["paths"])
    for place, expression in expressions():
        for label, value in re.findall(r"(route|status)=\"([^\"]*)\"", expression):
            known = routes if label == "route" else {"failed", "interrupted", "429"}
            assert value in known, f"{place} looks for {label} {value}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_is_and_is_explained(rule: dict):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    page = (DEPLOY.parent / "docs" / "operation.md").read_text(encoding="utf-8")
    assert f"`{rule['alert']}`" in page
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert label in {"instance", "what", "reason", "tool", "server"}
        grouped = re.search(r"by \(([^)]*)\)", rule["expr"])
        assert grouped is None or label in grouped[1]


def test_a_first_time_is_not_missed_where_a_counter_has_labels():
    """increase() of what was not there is nothing. One that is there from the start, without labels, needs no more."""
    rare = ("chatorch_faults_total", "chatorch_store_failures_total", 'status="interrupted"')
    for rule in rules():
        if any(name in rule["expr"] for name in rare):
            assert "unless" in rule["expr"], rule["alert"]


def test_the_dashboard_has_a_place_for_each_panel():
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in DASHBOARD["panels"])
    assert {one["name"] for one in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}


async def test_prometheus_may_read_with_the_token_that_the_documents_give_it(apis: Apis):
    api = await apis.start(metrics_token="t" * 32)
    assert (await api.anonymous().get("/metrics")).status_code == httpx.codes.UNAUTHORIZED
    read = await api.anonymous(Authorization=f"Bearer {'t' * 32}").get("/metrics")
    assert read.status_code == httpx.codes.OK
