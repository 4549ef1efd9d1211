"""Each alert has a rule, a runbook, and promtool cases in which it is pending, fires, resolves and stays silent."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from reference.metrics import declared
from service.handler.http.routes.orders import ORDER_PATH
from service.metrics import STAGES
from tests.chart.alert_rules import ALERTS, ON, each_alert, groups, rules
from tests.chart.helm import CHART, ROOT, Manifest, of_kind, one, render

RULES: Final = CHART / "alerts"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
CASES: Final = Path(__file__).parent / "alerts"
KUBE_STATE_METRICS: Final = {
    **{
        f"kube_job_status_{name}": {"job_name"}
        for name in ("failed", "succeeded", "active", "start_time", "completion_time")
    },
    **{f"kube_cronjob_{name}": {"cronjob"} for name in ("created", "status_last_successful_time")},
}
"""Labels besides `namespace`, by name of the metric."""
OF_ONE_RELEASE: Final = {
    "job": r'orders-(consumer|api|\(api\|consumer\))-metrics"',
    "job_name": "orders-(migrate|prune)-",
    "cronjob": 'orders-prune"',
}
"""Pattern of the values that select the release, by label."""
TARGET_LABELS: Final = {"namespace", "job", "pod"}
"""Labels that the Prometheus operator adds to the targets of a ServiceMonitor."""
SELECTOR: Final = re.compile(r'\b([a-z_]+)\{((?:[^"{}]|"[^"]*")*)\}')


@pytest.fixture(scope="module")
def promtool() -> str:
    if not (path := shutil.which("promtool")):
        pytest.skip("promtool not found on PATH")
    return path


def file_of(alert: str) -> str:
    """Return the stem of the alert's runbook and cases: its name in kebab case."""
    return re.sub(r"\B([A-Z])", r"-\1", alert).lower()


def cases_of(alert: str) -> list[dict[str, Any]]:
    cases = yaml.safe_load((CASES / f"{file_of(alert)}.yaml").read_text(encoding="utf-8"))
    return [*cases["tests"]]


def failures(promtool: str, alert: str, spec: Manifest, folder: Path) -> str:
    """Return promtool's output if the alert's rules fail its cases, else "".

    promtool evaluates all rules that it gets, so it gets only this alert's. It compares all annotations, so only the
    summary is kept, which shows that labels are filled in.
    """
    tested = [
        {**rule, "annotations": {"summary": rule["annotations"]["summary"]}}
        for group in spec["groups"]
        for rule in group["rules"]
        if rule["alert"] == alert
    ]
    summaries = {"groups": [{"name": alert, "rules": tested}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(summaries), encoding="utf-8")
    cases = shutil.copy(CASES / f"{file_of(alert)}.yaml", folder)
    done = subprocess.run(  # noqa: S603
        [promtool, "test", "rules", str(cases)], capture_output=True, text=True, check=False, timeout=300
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
    """Yield the name and matchers of each vector selector."""
    for rule in rules(*settings):
        yield from SELECTOR.findall(rule["expr"])


# promtool


def test_promtool_accepts_the_rules(promtool: str, tmp_path: Path) -> None:
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
def test_an_alert_passes_its_cases(alert: str, promtool: str, tmp_path: Path) -> None:
    assert failures(promtool, alert, groups(), tmp_path) == ""


@each_alert
def test_the_cases_fail_if_the_alert_fires_without_for(alert: str, promtool: str, tmp_path: Path) -> None:
    assert failures(promtool, alert, changed(alert, lambda rule: rule.pop("for")), tmp_path)


@each_alert
def test_the_cases_fail_if_the_alert_matches_other_releases(alert: str, promtool: str, tmp_path: Path) -> None:
    def match_all_releases(rule: Manifest) -> None:
        rule["expr"] = re.sub(r'\b(job|job_name|cronjob)(=~?)"[^"]*orders-', r'\1=~".*orders-', rule["expr"])

    assert failures(promtool, alert, changed(alert, match_all_releases), tmp_path)


@each_alert
def test_the_cases_show_the_alert_pending_firing_resolved_and_silent(alert: str) -> None:
    firing = [[bool(check["exp_alerts"]) for check in test["alert_rule_test"]] for test in cases_of(alert)]
    assert any(checks[0] is False and True in checks and checks[-1] is False for checks in firing)
    assert any(True not in checks for checks in firing)
    names = {check["alertname"] for test in cases_of(alert) for check in test["alert_rule_test"]}
    assert names == {alert}


# Alerts, runbooks and cases


def test_the_chart_has_these_alerts() -> None:
    assert [*dict.fromkeys(rule["alert"] for rule in rules())] == [*ALERTS]


def test_each_alert_has_a_rule_a_runbook_and_cases_in_files_of_its_name() -> None:
    files = {file_of(alert) for alert in ALERTS}
    assert {file.stem for file in RULES.iterdir()} == files
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == files
    assert {file.stem for file in CASES.iterdir()} == files


def test_the_index_of_runbooks_lists_each_alert_with_severity_and_file() -> None:
    text = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (critical|warning) \| \[[^]]*\]\((.*)\.md\) \|", text, re.MULTILINE)
    expected = [(rule["alert"], rule["labels"]["severity"], file_of(rule["alert"])) for rule in rules()]
    assert rows == [*dict.fromkeys(expected)]


def test_each_alert_has_a_summary_and_says_when_no_action_is_needed() -> None:
    for rule in rules():
        assert set(rule["labels"]) - {"window"} == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["summary"].endswith(".")
        assert "No action is needed " in rule["annotations"]["description"]


def test_runbook_url_links_each_alert_to_its_runbook() -> None:
    for url in ("https://a.example/runbooks", "https://a.example/runbooks/"):
        for rule in rules(f"metrics.prometheusRule.runbookUrl={url}"):
            assert rule["annotations"]["runbook_url"] == f"https://a.example/runbooks/{file_of(rule['alert'])}.md"


def test_annotations_use_only_labels_of_their_alert() -> None:
    for rule in rules():
        labels = {
            label
            for test in cases_of(rule["alert"])
            for check in test["alert_rule_test"]
            for fired in check["exp_alerts"]
            for label in fired["exp_labels"]
        }
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert used <= labels


# Expressions


def test_expressions_use_declared_metrics_and_labels() -> None:
    series = {name: labels for metric, _ in declared() for name, labels in series_of(metric).items()}
    for name, matchers in selectors():
        labels = set(re.findall(r'(\w+)(?:=|!=|=~|!~)"', matchers)) - TARGET_LABELS
        assert labels <= (series | KUBE_STATE_METRICS)[name], name


def test_expressions_select_pods_that_export_the_metric() -> None:
    modes = {name: mode for metric, mode in declared() for name in series_of(metric)}
    for name, matchers in selectors():
        if name not in KUBE_STATE_METRICS:
            (job,) = re.findall(r'job=~?"[^"]*orders-([^"]+)-metrics"', matchers)
            assert modes[name] in {job, "both"}, name


def series_of(metric: Any) -> dict[str, set[str]]:
    """Return the labels of each of the metric's series, by name."""
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


def test_each_selector_matches_one_release() -> None:
    for rule in rules():
        names = re.findall(r"\b(?:orders|kube)_\w+", rule["expr"])
        assert len(SELECTOR.findall(rule["expr"])) == len(names) > 0
    for name, matchers in selectors():
        (label,) = KUBE_STATE_METRICS.get(name, {"job"})
        assert re.match(rf'namespace="shop", {label}=~?"{OF_ONE_RELEASE[label]}', matchers)


def test_expressions_match_the_jobs_of_both_metrics_services() -> None:
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
def test_the_alerts_on_jobs_match_the_names_of_the_jobs(name: str) -> None:
    objects = render(name=name, settings=[ON])
    migration = one(objects, "Job")["metadata"]["name"]
    scheduled = f"{one(objects, 'CronJob')['metadata']['name']}-29345678"  # Kubernetes appends the time in minutes
    for alert, job in (("OrdersMigrationFailed", migration), ("OrdersPruneFailed", scheduled)):
        (expression,) = (rule["expr"] for rule in rules(name=name) if rule["alert"] == alert)
        for pattern in re.findall(r'job_name=~"([^"]*)"', expression):
            assert re.fullmatch(pattern, job)
            assert not re.fullmatch(pattern, f"x-{job}")
    (expression,) = (rule["expr"] for rule in rules(name=name) if rule["alert"] == "OrdersPruneOverdue")
    assert set(re.findall('cronjob="([^"]*)"', expression)) == {one(objects, "CronJob")["metadata"]["name"]}


def test_expressions_use_existing_stages_and_routes() -> None:
    matchers = " ".join(each for _, each in selectors())
    assert set(re.findall(r'stage="(\w+)"', matchers)) <= {*STAGES}
    assert set(re.findall(r'handler="([^"]*)"', matchers)) == {ORDER_PATH}
