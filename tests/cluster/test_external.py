"""A release with external servers, whose migration is a hook."""

import json
from dataclasses import replace

import pytest

from tests.cluster.loader import Loader
from tests.cluster.release import Release, run
from tests.kit.waiting import eventually

COUNT = 5_000
DATABASE = "second"
SECRETS = {
    "existingSecret": "orders-postgresql",
    "existingWriteSecret": "orders-postgresql-write",
    "existingReadSecret": "orders-postgresql-read",
}


@pytest.fixture
def servers(release: Release) -> Release:
    """Another release, whose Kafka and PostgreSQL serve as the external ones, with a second database."""
    release.install("--set", "api.replicas=1")
    psql = ("exec", "orders-postgresql-0", "--", "psql", "--username", "postgres")
    release.kubectl(*psql, "--command", f"CREATE DATABASE {DATABASE} OWNER orders")
    release.kubectl(*psql, "--dbname", DATABASE, "--file", "/etc/orders/roles.sql")
    return release


def test_a_release_with_external_servers_is_installed_upgraded_and_rolled_back(
    servers: Release, other_namespace: str
) -> None:
    release = replace(servers, namespace=other_namespace)
    for name in SECRETS.values():
        copy_secret(servers, release, name)
    release.install(*external(servers))
    release.generate(COUNT)
    release.wait_for_generator()
    release.check(COUNT)
    with Loader(release).get() as results:
        release.upgrade("--reset-then-reuse-values")
        release.upgrade("--reset-then-reuse-values", "--set", "cache.maxEntries=20000")
        release.helm("rollback", release.name, "1", "--wait", "--timeout", "300s")
    assert results.failed == {}
    assert results.succeeded > 100
    release.check(COUNT)
    release.helm("test", release.name)
    release.uninstall()
    eventually(lambda: release.leftovers() == set(), within=90, what="no objects left")


def external(servers: Release) -> list[str]:
    values = {
        "kafka": {
            "enabled": False,
            "bootstrapServers": f"orders-kafka.{servers.namespace}.svc:9092",
            "topic": DATABASE,
            "deadLetterTopic": f"{DATABASE}.dlq",
            "groupId": DATABASE,
        },
        "postgresql": {
            "enabled": False,
            "host": f"orders-postgresql.{servers.namespace}.svc",
            "database": DATABASE,
            **SECRETS,
        },
        "migrations": {"mode": "hook"},
    }
    return [option for name, value in values.items() for option in ("--set-json", f"{name}={json.dumps(value)}")]


def copy_secret(source: Release, target: Release, name: str) -> None:
    secret = json.loads(source.kubectl("get", f"secret/{name}", "--output", "json"))
    copied = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": secret["data"]}
    run("kubectl", "--namespace", target.namespace, "apply", "--filename", "-", stdin=json.dumps(copied))
