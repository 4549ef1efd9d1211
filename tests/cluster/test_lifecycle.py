"""What someone does with the chart: install, look, upgrade, roll back, uninstall, install again."""

import json
import re
import shutil
import subprocess
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from generator.expected import expected, order_digest
from generator.stream import Plan
from tests.cluster.loader import Loader
from tests.cluster.release import CHART, ROOT, Release, run
from tests.waiting import eventually

COUNT = 5_000
PLAN = Plan(count=COUNT, seed=7, invalid=0.02, duplicates=0.05, stale=0.02)
CHANGED = str(Path(__file__).with_name("changed.yaml"))


@pytest.fixture
def filled(release: Release) -> Release:
    """Installed, with orders stored."""
    release.install()
    release.generate(COUNT)
    release.generated()
    release.check(COUNT)
    return release


def test_what_is_generated_is_stored_and_served_and_the_release_passes_its_own_test(filled: Release) -> None:
    assert served(filled) == expected(PLAN).orders
    assert_has_its_page(filled)
    filled.helm("test", filled.name)
    assert_erases(filled, next(iter(expected(PLAN).orders)))


def test_a_release_of_any_name_is_taken_by_the_server(release: Release) -> None:
    for name in ("null", "true", "1e3", "0x1f", "12", "off", "7.0"):
        manifests = release.helm("template", name, CHART, "--skip-tests", "--kube-version", server_version())
        assert "created" in release.kubectl("apply", "--dry-run=server", "--filename", "-", stdin=manifests)


def served(release: Release) -> dict[str, bytes]:
    """Return the digest of every order that was generated, as the Service answers."""
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        return {uid: order_digest(got(connection, uid)) for uid in expected(PLAN).orders}


def assert_has_its_page(release: Release) -> None:
    """Hold that the image was built with the page, and that its script is where the page looks for it."""
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        scripts = re.findall(r'<script type="module" [^>]*src="\./(assets/[^"]+)"', fetched(connection, "/").decode())
        assert scripts
        assert fetched(connection, f"/{scripts[0]}")


def fetched(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return body


def assert_erases(release: Release, uid: str) -> None:
    """Run k8s/erase.yaml, whose login is the only one that may."""
    job = (ROOT / "k8s" / "erase.yaml").read_text(encoding="utf-8").replace("ORDER_UID", uid)
    name = release.kubectl("create", "--filename", "-", "--output", "name", stdin=job).strip()
    release.kubectl("wait", name, "--for=condition=complete", "--timeout=60s", within=70)
    assert f"{uid}: erased" in release.kubectl("logs", name)
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        eventually(lambda: status_of(connection, f"/orders/{quote(uid)}") == 404, what="it is gone")


def status_of(connection: HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def got(connection: HTTPConnection, uid: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(fetched(connection, f"/orders/{quote(uid)}"))
    return body


def test_upgrades_rollbacks_and_restarts_fail_no_request(filled: Release) -> None:
    before = filled.pod_names("api")
    with Loader(filled).get() as none:
        filled.upgrade()
    assert filled.pod_names("api") == before
    with Loader(filled).get() as changed:
        filled.upgrade("--set", "cache.maxEntries=20000")
    assert not filled.pod_names("api") & before
    with Loader(filled).get() as rolled_back:
        filled.helm("rollback", filled.name, "--wait", "--timeout", "300s")
    with Loader(filled).get() as restarted:
        filled.restart("api")
    for results in (none, changed, rolled_back, restarted):
        assert results.failed == {}
        assert results.answered > 20
    filled.check(COUNT)


def test_an_uninstalled_release_leaves_its_claims_and_finds_them_again(filled: Release) -> None:
    assert_leaves_its_claims(filled)
    filled.install(filled.undone)
    filled.check(COUNT)
    filled.helm("test", filled.name)
    assert_leaves_its_claims(filled)


def assert_leaves_its_claims(release: Release) -> None:
    release.uninstall()
    claims = {"PersistentVolumeClaim/data-orders-kafka-0", "PersistentVolumeClaim/data-orders-postgresql-0"}
    eventually(lambda: release.leftovers() == claims, within=90, what="nothing but the claims")


def test_another_version_with_other_values_is_upgraded(filled: Release, tmp_path: Path) -> None:
    newer = shutil.copytree(CHART, tmp_path / "chart")
    about = yaml.safe_load((newer / "Chart.yaml").read_text(encoding="utf-8"))
    (newer / "Chart.yaml").write_text(json.dumps(about | {"version": "9.9.9"}), encoding="utf-8")
    filled.upgrade(filled.undone, "--values", CHANGED, chart=str(newer))
    filled.check(COUNT)
    filled.helm("test", filled.name)


def test_another_helm_installs_upgrades_and_tests_the_same(release_of_another_helm: Release) -> None:
    release = release_of_another_helm
    release.install(release.undone)
    before = release.pod_names("api")
    release.upgrade(release.undone, "--set", "cache.maxEntries=20000")
    assert not release.pod_names("api") & before
    release.helm("test", release.name)
    release.scale("consumer", 2)
    release.upgrade("--reuse-values", *release.overruling)
    eventually(lambda: len(release.pods("consumer")) == 1, within=90, what="as many consumers as the values say")
    release.uninstall()


def test_what_is_rendered_can_be_applied_twice_without_helm(release: Release) -> None:
    for _ in range(2):
        rendered = release.helm("template", release.name, CHART, "--skip-tests", "--kube-version", server_version())
        release.kubectl("apply", "--filename", "-", stdin=rendered)
        for component in ("api", "consumer"):
            release.rolled_out(component)
    release.generate(100)
    release.generated()
    release.check(100)


def server_version() -> str:
    return str(json.loads(run("kubectl", "version", "--output", "json"))["serverVersion"]["gitVersion"])


def test_with_keys_the_api_wants_one_and_the_release_passes_its_own_test(release: Release) -> None:
    key = "k" * 24
    release.kubectl("create", "secret", "generic", "orders-keys", f"--from-literal=keys=read {key}")
    release.install("--set", "auth.existingSecret=orders-keys")
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for headers, status in (({}, 401), ({"X-API-Key": key}, 200)):
            connection.request("GET", "/orders", headers=headers)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (status, True)
    release.helm("test", release.name)


@pytest.mark.parametrize("name", ["kafka", "postgresql"])
def test_a_release_may_be_called_like_one_of_its_servers(namespace: str, name: str, release: Release) -> None:
    named = Release(release.helm_binary, namespace, name)
    named.install()
    named.helm("test", name)


def test_the_commands_of_the_notes_work_as_they_stand(filled: Release) -> None:
    notes = filled.helm("get", "notes", filled.name)
    commands = re.findall(r"^  +(kubectl .*|curl .*|helm .*)$", notes, re.MULTILINE)
    assert len(commands) >= 6
    background = [command for command in commands if "port-forward" in command]
    forwards = [subprocess.Popen(command.split(), stdout=subprocess.DEVNULL) for command in background]  # noqa: S603
    try:
        for command in commands:
            if command not in background:
                eventually(lambda command=command: works(command), within=120, what=command)  # type: ignore[misc]
    finally:
        for forward in forwards:
            forward.terminate()
            forward.wait()


def works(command: str) -> bool:
    return subprocess.run(["sh", "-c", command], capture_output=True, timeout=120, check=False).returncode == 0  # noqa: S603, S607
