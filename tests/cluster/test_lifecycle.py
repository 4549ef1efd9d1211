"""Installing, upgrading, rolling back, uninstalling and reinstalling the chart."""

import json
import re
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from generator.expected import expected_result, order_digest
from generator.stream import Plan
from tests.cluster.loader import Loader
from tests.cluster.release import CHART, Release
from tests.kit.waiting import eventually

COMPONENTS = {"api": "deployment", "consumer": "deployment", "kafka": "statefulset", "postgresql": "statefulset"}
COUNT = 5_000
PLAN = Plan(count=COUNT, seed=7, invalid=0.02, duplicates=0.05, stale=0.02)
CHANGED = str(Path(__file__).with_name("changed.yaml"))


@pytest.fixture
def filled(release: Release) -> Release:
    """An installed release with stored orders."""
    release.install()
    release.generate(COUNT)
    release.wait_for_generator()
    release.check(COUNT)
    return release


def test_generated_orders_are_stored_and_served_and_helm_test_passes(filled: Release) -> None:
    assert served(filled) == expected_result(PLAN).orders
    assert_serves_the_page(filled)
    filled.helm("test", filled.name)
    assert_erases(filled, next(iter(expected_result(PLAN).orders)))


def test_the_api_server_accepts_any_release_name(release: Release) -> None:
    for name in ("null", "true", "1e3", "0x1f", "12", "off", "7.0"):
        manifests = replace(release, name=name).render()
        assert "created" in release.kubectl("apply", "--dry-run=server", "--filename", "-", stdin=manifests)


def served(release: Release) -> dict[str, bytes]:
    """Return the digest of each generated order, as served by the API."""
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        return {uid: order_digest(get_order(connection, uid)) for uid in expected_result(PLAN).orders}


def assert_serves_the_page(release: Release) -> None:
    """Verify that the image contains the page, and its script at the path that the page uses."""
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        scripts = re.findall(r'<script type="module" [^>]*src="\./(assets/[^"]+)"', fetch(connection, "/").decode())
        assert scripts
        assert fetch(connection, f"/{scripts[0]}")


def fetch(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    return body


def assert_erases(release: Release, uid: str) -> None:
    """Run k8s/erase.yaml, which uses the only login that may erase."""
    assert f"{uid}: erased" in release.run_example("erase.yaml", ORDER_UID=uid)
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        eventually(lambda: status_of(connection, f"/orders/{quote(uid)}") == 404, what="404")


def status_of(connection: HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status


def get_order(connection: HTTPConnection, uid: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(fetch(connection, f"/orders/{quote(uid)}"))
    return body


def test_upgrades_rollbacks_and_restarts_fail_no_request(filled: Release) -> None:
    before = filled.pod_names("api")
    with Loader(filled).get() as unchanged:
        filled.upgrade()
    assert filled.pod_names("api") == before
    with Loader(filled).get() as changed:
        filled.upgrade("--set", "cache.maxEntries=20000")
    assert not filled.pod_names("api") & before
    with Loader(filled).get() as rolled_back:
        filled.helm("rollback", filled.name, "--wait", "--timeout", "300s")
    with Loader(filled).get() as restarted:
        filled.restart("api")
    for results in (unchanged, changed, rolled_back, restarted):
        assert results.failed == {}
        assert results.succeeded > 20
    filled.check(COUNT)


def test_a_reinstalled_release_reuses_its_volume_claims(filled: Release) -> None:
    assert_uninstall_keeps_claims(filled)
    filled.install(filled.rollback_option)
    filled.check(COUNT)
    filled.helm("test", filled.name)
    assert_uninstall_keeps_claims(filled)


def assert_uninstall_keeps_claims(release: Release) -> None:
    release.uninstall()
    claims = {"PersistentVolumeClaim/data-orders-kafka-0", "PersistentVolumeClaim/data-orders-postgresql-0"}
    eventually(lambda: release.leftovers() == claims, within=90, what="only the claims are left")


def test_a_release_is_upgraded_to_another_version_with_other_values(filled: Release, tmp_path: Path) -> None:
    newer = shutil.copytree(CHART, tmp_path / "chart")
    metadata = yaml.safe_load((newer / "Chart.yaml").read_text(encoding="utf-8"))
    (newer / "Chart.yaml").write_text(json.dumps(metadata | {"version": "9.9.9"}), encoding="utf-8")
    filled.upgrade(filled.rollback_option, "--values", CHANGED, chart=str(newer))
    filled.check(COUNT)
    filled.helm("test", filled.name)


def test_another_helm_version_installs_upgrades_and_tests_a_release(release_of_another_helm: Release) -> None:
    release = release_of_another_helm
    release.install(release.rollback_option)
    before = release.pod_names("api")
    release.upgrade(release.rollback_option, "--set", "cache.maxEntries=20000")
    assert not release.pod_names("api") & before
    release.helm("test", release.name)
    release.scale("consumer", 2)
    release.upgrade("--reuse-values", *release.force_options)
    eventually(lambda: len(release.pods("consumer")) == 1, within=90, what="as many consumers as in the values")
    release.uninstall()


def test_rendered_manifests_applied_twice_with_kubectl_leave_the_pods_as_they_are(release: Release) -> None:
    pods = [apply_rendered(release) for _ in range(2)]
    assert pods[0] == pods[1]
    assert release.diff() == ""
    assert len(pods[0]) >= 4, "consumer, API, Kafka and PostgreSQL"
    release.generate(100)
    release.wait_for_generator()
    release.check(100)


def apply_rendered(release: Release) -> set[str]:
    """Render and apply the chart. Return the ids of its pods after the rollout."""
    release.kubectl("apply", "--filename", "-", stdin=release.render())
    for component, kind in COMPONENTS.items():
        release.wait_for_rollout(component, kind)
    return {pod["metadata"]["uid"] for component in COMPONENTS for pod in release.pods(component)}


def test_with_api_keys_requests_need_one_and_helm_test_passes(release: Release) -> None:
    key = "k" * 24
    release.kubectl("create", "secret", "generic", "orders-keys", f"--from-literal=keys=read {key}")
    release.install("--set", "auth.existingSecret=orders-keys")
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for headers, status in (({}, 401), ({"X-API-Key": key}, 200)):
            connection.request("GET", "/orders", headers=headers)
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, True)
    release.helm("test", release.name)


@pytest.mark.parametrize("name", ["kafka", "postgresql"])
def test_a_release_may_have_the_name_of_one_of_its_servers(namespace: str, name: str, release: Release) -> None:
    named = Release(release.helm_binary, namespace, name)
    named.install()
    named.helm("test", name)


def test_the_commands_in_the_notes_work(filled: Release) -> None:
    notes = filled.helm("get", "notes", filled.name)
    commands = re.findall(r"^  +(kubectl .*|curl .*|helm .*)$", notes, re.MULTILINE)
    assert len(commands) >= 6
    background = [command for command in commands if "port-forward" in command]
    forwards = [subprocess.Popen(command.split(), stdout=subprocess.DEVNULL) for command in background]  # noqa: S603
    try:
        for command in commands:
            if command not in background:
                eventually(lambda command=command: succeeds(command), within=120, what=command)  # type: ignore[misc]
    finally:
        for forward in forwards:
            forward.terminate()
            forward.wait()


def succeeds(command: str) -> bool:
    return subprocess.run(["sh", "-c", command], capture_output=True, timeout=120, check=False).returncode == 0  # noqa: S603, S607
