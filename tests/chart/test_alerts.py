"""Alerts: each with its rule, its runbook, and cases in which promtool sees it fire, wait and stay quiet."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry

from service.handler.http.fastpath.responder import ROUTE
from service.metrics import STAGES, Metrics
from tests.chart.rendered import ROOT, Manifest, of_kind, one, refusal, render
from tests.chart.test_pods import RELEASES

RUNBOOKS: Final = ROOT / "docs" / "runbooks"
CASES: Final = Path(__file__).parent / "alerts"
ON: Final = "metrics.prometheusRule.enabled=true,metrics.serviceMonitor.enabled=true"
ALERTS: Final = (
    "OrdersLagGrows",
    "OrdersNoProgress",
    "OrdersPartitionStalled",
    "OrdersNoConsumer",
    "OrdersDeadLetters",
    "OrdersCircuitBreakerOpen",
    "OrdersPostgresqlUnavailable",
    "OrdersPoolSaturated",
    "OrdersRebalanceStorm",
    "OrdersWarmUpSlow",
    "OrdersApiKeysFileInvalid",
    "OrdersApiErrorBudgetBurn",
    "OrdersApiSlow",
    "OrdersMigrationFailed",
)
WITH_A_WAIT_OF_THEIR_OWN: Final = {"OrdersWarmUpSlow", "OrdersApiErrorBudgetBurn"}
SECTIONS: Final = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
FOREIGN: Final = {"kube_job_status_failed", "kube_job_status_succeeded", "kube_job_status_active"}
"""Metrics of kube-state-metrics."""
OF_THE_TARGET: Final = {"namespace", "job", "pod"}
"""Labels that the operator gives to all that a ServiceMonitor finds."""
SELECTOR: Final = re.compile(r'\b([a-z_]+)\{((?:[^"{}]|"[^"]*")*)\}')

each_alert = pytest.mark.parametrize("alert", ALERTS)


@pytest.fixture(scope="module")
def promtool() -> str:
    if not (path := shutil.which("promtool")):
        pytest.skip("there is no promtool on the path")
    return path


def groups(*settings: str, name: str = "orders") -> Manifest:
    """Return the `spec` of the PrometheusRule."""
    spec: Manifest = one(render(name=name, settings=[ON, *settings]), "PrometheusRule")["spec"]
    return spec


def rules(*settings: str, name: str = "orders") -> list[Manifest]:
    return [rule for group in groups(*settings, name=name)["groups"] for rule in group["rules"]]


def named(alert: str, *settings: str) -> list[Manifest]:
    return [rule for rule in rules(*settings) if rule["alert"] == alert]


def file_of(alert: str) -> str:
    """Return the stem of the files that belong to an alert: its name in kebab case."""
    return re.sub(r"\B([A-Z])", r"-\1", alert).lower()


def group_of(alert: str) -> str:
    """Return the path of its values."""
    name = alert.removeprefix("Orders")
    return f"metrics.prometheusRule.{name[0].lower()}{name[1:]}"


def cases_of(alert: str) -> list[dict[str, Any]]:
    cases = yaml.safe_load((CASES / f"{file_of(alert)}.yaml").read_text(encoding="utf-8"))
    return [*cases["tests"]]


def complaints(promtool: str, alert: str, spec: Manifest, folder: Path) -> str:
    """Return what promtool has against the rules in the alert's cases; nothing where all is as it should be.

    It compares all annotations word for word: only the summary is left, which shows that labels are filled in.
    """
    told = deepcopy(spec)
    for rule in (rule for group in told["groups"] for rule in group["rules"]):
        rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    cases = shutil.copy(CASES / f"{file_of(alert)}.yaml", folder)
    done = subprocess.run(  # noqa: S603
        [promtool, "test", "rules", str(cases)], capture_output=True, text=True, check=False, timeout=60
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def changed(alert: str, change: Callable[[Manifest], object]) -> Manifest:
    spec = deepcopy(groups())
    for group in spec["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == alert:
                change(rule)
    return spec


def selectors(*settings: str) -> Iterator[tuple[str, str]]:
    """Yield name and matchers of all series that are asked for."""
    for rule in rules(*settings):
        yield from SELECTOR.findall(rule["expr"])


# What promtool says


def test_prometheus_can_read_the_rules(promtool: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(groups("metrics.prometheusRule.runbookUrl=https://a.example")), encoding="utf-8")
    done = subprocess.run(  # noqa: S603
        [promtool, "check", "rules", "--lint-fatal", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each_alert
def test_an_alert_fires_under_its_fault_and_stays_quiet_beside_it(alert: str, promtool: str, tmp_path: Path) -> None:
    assert complaints(promtool, alert, groups(), tmp_path) == ""


@each_alert
def test_its_cases_notice_an_alert_that_does_not_wait(alert: str, promtool: str, tmp_path: Path) -> None:
    assert complaints(promtool, alert, changed(alert, lambda rule: rule.pop("for")), tmp_path)


@each_alert
def test_its_cases_notice_an_alert_that_looks_at_other_releases_too(alert: str, promtool: str, tmp_path: Path) -> None:
    def look_everywhere(rule: Manifest) -> None:
        rule["expr"] = re.sub(r'\b(job|job_name)(=~?)"[^"]*orders-', r'\1=~".*orders-', rule["expr"])

    assert complaints(promtool, alert, changed(alert, look_everywhere), tmp_path)


@each_alert
def test_its_cases_show_it_waiting_firing_gone_and_quiet(alert: str) -> None:
    told = [[bool(moment["exp_alerts"]) for moment in test["alert_rule_test"]] for test in cases_of(alert)]
    assert any(moments[0] is False and True in moments and moments[-1] is False for moments in told)
    assert any(True not in moments for moments in told)
    names = {moment["alertname"] for test in cases_of(alert) for moment in test["alert_rule_test"]}
    assert names == {alert}


# Alert, runbook and cases belong together


def test_the_alerts_are_these() -> None:
    assert [*dict.fromkeys(rule["alert"] for rule in rules())] == [*ALERTS]


def test_each_alert_has_one_runbook_and_one_file_of_cases() -> None:
    files = {file_of(alert) for alert in ALERTS}
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == files
    assert {file.stem for file in CASES.iterdir()} == files


@each_alert
def test_a_runbook_says_what_it_means_what_it_costs_where_to_look_and_what_to_do(alert: str) -> None:
    text = (RUNBOOKS / f"{file_of(alert)}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)


def test_the_list_of_runbooks_names_each_alert_with_its_severity_and_its_file() -> None:
    text = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (critical|warning) \| \[[^]]*\]\((.*)\.md\) \|", text, re.MULTILINE)
    told = [(rule["alert"], rule["labels"]["severity"], file_of(rule["alert"])) for rule in rules()]
    assert rows == [*dict.fromkeys(told)]


def test_each_alert_says_what_is_wrong_and_what_would_be_harmless() -> None:
    for rule in rules():
        assert set(rule["labels"]) - {"window"} == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["summary"].endswith(".")
        assert "Harmless:" in rule["annotations"]["description"]


def test_an_alert_has_the_address_of_its_runbook_where_there_is_one() -> None:
    for url in ("https://a.example/runbooks", "https://a.example/runbooks/"):
        for rule in rules(f"metrics.prometheusRule.runbookUrl={url}"):
            assert rule["annotations"]["runbook_url"] == f"https://a.example/runbooks/{file_of(rule['alert'])}.md"


def test_annotations_name_no_label_that_the_alert_does_not_have() -> None:
    for rule in rules():
        labels = {
            label
            for test in cases_of(rule["alert"])
            for moment in test["alert_rule_test"]
            for fired in moment["exp_alerts"]
            for label in fired["exp_labels"]
        }
        asked_for = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert asked_for <= labels


# What the rules ask for


def test_each_metric_is_declared_and_has_the_labels_that_are_asked_for() -> None:
    declared: dict[str, set[str]] = {}
    for name, value in vars(Metrics(CollectorRegistry())).items():
        if name != "registry":
            declared |= series_of(value)
    for name, matchers in selectors():
        labels = set(re.findall(r'(\w+)(?:=|!=|=~|!~)"', matchers)) - OF_THE_TARGET
        assert name in declared.keys() | FOREIGN
        assert labels <= declared.get(name, {"job_name"}), name


def series_of(metric: Any) -> dict[str, set[str]]:
    """Return the names of a metric's series with their labels."""
    (family,) = metric.describe()
    labels = set[str](getattr(metric, "_labelnames", None) or getattr(metric, "_labels", []))
    match family.type:
        case "counter":
            return {f"{family.name}_total": labels}
        case "histogram":
            return {f"{family.name}_bucket": labels | {"le"}} | {
                f"{family.name}_{suffix}": labels for suffix in ("count", "sum")
            }
    return {family.name: labels}


def test_nothing_is_asked_for_without_saying_of_which_release() -> None:
    for rule in rules():
        names = re.findall(r"\b(?:orders|kube)_\w+", rule["expr"])
        assert len(SELECTOR.findall(rule["expr"])) == len(names) > 0
    for name, matchers in selectors():
        assert matchers.startswith('namespace="shop", job')
        ours = r"orders-(consumer|api|\(api\|consumer\))-metrics"
        assert re.search(rf'\bjob=~?"{ours}"' if name not in FOREIGN else r'\bjob_name=~"orders-migrate-', matchers)


def test_the_jobs_are_the_services_that_monitors_find() -> None:
    objects = render(name="shop", settings=[ON])
    services = {each["metadata"]["name"] for each in of_kind(objects, "Service")}
    jobs = {
        job
        for rule in rules(name="shop")
        for pattern in re.findall(r'\bjob=~?"([^"]*)"', rule["expr"])
        for job in services
        if re.fullmatch(pattern, job)
    }
    assert jobs == {"shop-orders-consumer-metrics", "shop-orders-api-metrics"}


@pytest.mark.parametrize("name", ["orders", "shop", "a.b"])
def test_the_migration_is_known_by_its_name(name: str) -> None:
    objects = render(name=name, settings=[ON])
    (expression,) = (rule["expr"] for rule in rules(name=name) if rule["alert"] == "OrdersMigrationFailed")
    for pattern in re.findall(r'job_name=~"([^"]*)"', expression):
        assert re.fullmatch(pattern, one(objects, "Job")["metadata"]["name"])
        assert not re.fullmatch(pattern, f"x-{one(objects, 'Job')['metadata']['name']}")


def test_stage_and_route_that_are_asked_for_exist() -> None:
    told = " ".join(matchers for _, matchers in selectors())
    assert set(re.findall(r'stage="(\w+)"', told)) <= {*STAGES}
    assert set(re.findall(r'handler="([^"]*)"', told)) == {ROUTE}


# Values


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
        ("OrdersRebalanceStorm", "rebalanceStorm.changes=25", "> 25\n"),
        ("OrdersRebalanceStorm", "rebalanceStorm.window=7m", "[7m]"),
        ("OrdersApiErrorBudgetBurn", "apiErrorBudgetBurn.objective=99", "* (1 - 99 / 100)"),
        ("OrdersApiSlow", "apiSlow.seconds=2", "> 2\n"),
        ("OrdersApiSlow", "apiSlow.window=7m", "[7m]"),
    ],
)
def test_a_value_reaches_its_rule(alert: str, setting: str, text: str) -> None:
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


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert not in WITH_A_WAIT_OF_THEIR_OWN])
def test_how_long_an_alert_waits_is_a_value(alert: str) -> None:
    assert [rule["for"] for rule in named(alert, f"{group_of(alert)}.for=77m")] == ["77m"]


def test_a_warm_up_is_slow_some_time_after_its_own_deadline() -> None:
    settings = ("cache.warmDeadline=300", "metrics.prometheusRule.warmUpSlow.graceSeconds=30")
    assert [rule["for"] for rule in named("OrdersWarmUpSlow", *settings)] == ["330s"]


@each_alert
def test_an_alert_whose_group_is_null_is_left_out_and_no_other(alert: str) -> None:
    left = {rule["alert"] for rule in rules(f"{group_of(alert)}=null")}
    assert left == {*ALERTS} - {alert}


@pytest.mark.parametrize(
    ("settings", "is_there"),
    [
        (["consumer.replicas=0"], False),
        (["consumer.keda.enabled=true", "consumer.keda.minReplicas=0"], False),
        (["consumer.keda.enabled=true", "consumer.replicas=0"], True),
        (["consumer.autoscaling.enabled=true", "consumer.replicas=0"], True),
    ],
)
def test_a_consumer_that_may_have_no_pods_is_not_missed(settings: list[str], is_there: bool) -> None:  # noqa: FBT001
    assert bool(named("OrdersNoConsumer", *settings)) is is_there


def test_where_nothing_is_migrated_no_migration_can_fail() -> None:
    assert named("OrdersMigrationFailed", "migrations.mode=none") == []


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
def test_a_value_that_can_not_be_meant_is_refused_by_name(setting: str, path: str) -> None:
    assert any(path in line for line in refusal(f"metrics.prometheusRule.{setting}"))


def test_every_kind_of_release_that_has_alerts_renders_them_all() -> None:
    for release in ("everything", "kube-prometheus"):
        (group,) = one(render(RELEASES[release]), "PrometheusRule")["spec"]["groups"]
        assert {rule["alert"] for rule in group["rules"]} == {*ALERTS}
