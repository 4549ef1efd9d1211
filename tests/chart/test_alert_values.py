"""The values of `metrics.prometheusRule` change or remove an alert."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.chart.alert_rules import ALERTS, OF_THE_CRON_JOB, each_alert, named, rules
from tests.chart.helm import one, rejection, render
from tests.chart.test_pods import RELEASES

WITHOUT_A_FOR_VALUE: Final = {"OrdersWarmUpSlow", "OrdersApiErrorBudgetBurn"}


def group_of(alert: str) -> str:
    """Return the path of the alert's values."""
    name = alert.removeprefix("Orders")
    return f"metrics.prometheusRule.{name[0].lower()}{name[1:]}"


@pytest.mark.parametrize(
    ("alert", "setting", "text"),
    [
        ("OrdersLagGrows", "lagGrows.messages=1200000", "> 1200000\n"),
        ("OrdersLagGrows", "lagGrows.window=7m", "[7m:]"),
        ("OrdersNoProgress", "noProgress.messages=6", "> 6\n"),
        ("OrdersNoProgress", "noProgress.window=7m", "[7m]"),
        ("OrdersPartitionStalled", "partitionStalled.seconds=77", "> 77\n"),
        ("OrdersDeadLetters", "deadLetters.messages=25", "> 25\n"),
        ("OrdersDeadLetters", "deadLetters.window=7m", "[7m]"),
        ("OrdersExpiredSkipped", "expiredSkipped.orders=25", "> 25\n"),
        ("OrdersExpiredSkipped", "expiredSkipped.window=7m", "[7m]"),
        ("OrdersOffsetsSkipped", "offsetsSkipped.offsets=25", "> 25\n"),
        ("OrdersOffsetsSkipped", "offsetsSkipped.window=7m", "[7m] offset 7m"),
        ("OrdersTopicRecreated", "topicRecreated.window=7m", "[7m] offset 7m"),
        ("OrdersRebalanceStorm", "rebalanceStorm.changes=25", "> 25\n"),
        ("OrdersRebalanceStorm", "rebalanceStorm.window=7m", "[7m]"),
        ("OrdersApiErrorBudgetBurn", "apiErrorBudgetBurn.objective=99", "* (1 - 99 / 100)"),
        ("OrdersApiSlow", "apiSlow.seconds=2", "> 2\n"),
        ("OrdersPruneOverdue", "pruneOverdue.seconds=1209600", "> 1209600\n"),
        ("OrdersApiSlow", "apiSlow.window=7m", "[7m]"),
    ],
)
def test_a_value_appears_in_its_rule(alert: str, setting: str, text: str) -> None:
    assert all(text not in rule["expr"] for rule in named(alert))
    changed_rules = named(alert, f"metrics.prometheusRule.{setting}")
    assert changed_rules
    assert all(text in rule["expr"] for rule in changed_rules)


def test_thresholds_may_have_fractions(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    own = {"enabled": True, "apiSlow": {"seconds": 0.05}, "apiErrorBudgetBurn": {"objective": 99.95}}
    values.write_text(
        yaml.safe_dump({"metrics": {"prometheusRule": own, "serviceMonitor": {"enabled": True}}}), encoding="utf-8"
    )
    (group,) = one(render(values), "PrometheusRule")["spec"]["groups"]
    expressions = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    assert expressions["OrdersApiSlow"].endswith("> 0.05\n")
    assert "> 6 * (1 - 99.95 / 100)" in expressions["OrdersApiErrorBudgetBurn"]


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert not in WITHOUT_A_FOR_VALUE])
def test_the_for_duration_is_a_value(alert: str) -> None:
    assert [rule["for"] for rule in named(alert, f"{group_of(alert)}.for=77m")] == ["77m"]


def test_the_warm_up_alert_waits_for_the_deadline_plus_a_grace_period() -> None:
    settings = ("cache.warmDeadline=300", "metrics.prometheusRule.warmUpSlow.graceSeconds=30")
    assert [rule["for"] for rule in named("OrdersWarmUpSlow", *settings)] == ["330s"]


@each_alert
def test_a_null_value_removes_its_alert_only(alert: str) -> None:
    remaining = {rule["alert"] for rule in rules(f"{group_of(alert)}=null")}
    assert remaining == {*ALERTS} - {alert}


@pytest.mark.parametrize(
    ("settings", "is_present"),
    [
        (["consumer.replicas=0"], False),
        (["consumer.keda.enabled=true", "consumer.keda.minReplicas=0"], False),
        (["consumer.keda.enabled=true", "consumer.replicas=0"], True),
        (["consumer.autoscaling.enabled=true", "consumer.replicas=0"], True),
    ],
)
def test_the_no_consumer_alert_requires_a_minimum_of_one_pod(settings: list[str], is_present: bool) -> None:  # noqa: FBT001
    assert bool(named("OrdersNoConsumer", *settings)) is is_present


def test_without_migrations_there_is_no_migration_alert() -> None:
    assert named("OrdersMigrationFailed", "migrations.mode=none") == []


@pytest.mark.parametrize("alert", OF_THE_CRON_JOB)
def test_without_the_cron_job_its_alerts_do_not_exist(alert: str) -> None:
    assert named(alert, "retention.enabled=false") == []


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("lagGrow.messages=1", "'/metrics/prometheusRule'"),
        ("lagGrows.message=1", "'/metrics/prometheusRule/lagGrows'"),
        ("lagGrows.window=0m", "'/metrics/prometheusRule/lagGrows/window'"),
        ("lagGrows.for=soon", "'/metrics/prometheusRule/lagGrows/for'"),
        ("apiErrorBudgetBurn.objective=100", "'/metrics/prometheusRule/apiErrorBudgetBurn/objective'"),
        ("apiErrorBudgetBurn.objective=90", "'/metrics/prometheusRule/apiErrorBudgetBurn/objective'"),
        ("apiSlow.seconds=0", "'/metrics/prometheusRule/apiSlow/seconds'"),
        ("runbookUrl=docs/runbooks", "'/metrics/prometheusRule/runbookUrl'"),
    ],
)
def test_an_invalid_value_is_rejected_with_its_path(setting: str, path: str) -> None:
    assert any(path in line for line in rejection(f"metrics.prometheusRule.{setting}"))


def test_each_release_with_alerts_has_all_of_them() -> None:
    for release, without in (("everything", set[str]()), ("kube-prometheus", {*OF_THE_CRON_JOB})):
        (group,) = one(render(RELEASES[release]), "PrometheusRule")["spec"]["groups"]
        assert {rule["alert"] for rule in group["rules"]} == {*ALERTS} - without
