"""Kafka and PostgreSQL of one release as the external servers of another."""

import json

from tests.cluster.release import Release, run

DATABASE = "second"
SECRETS = {
    "existingSecret": "orders-postgresql",
    "existingWriteSecret": "orders-postgresql-write",
    "existingReadSecret": "orders-postgresql-read",
}


def add_database(servers: Release) -> None:
    """Create a second database, with the roles of files/roles.sql."""
    servers.psql(f"CREATE DATABASE {DATABASE} OWNER orders")
    servers.psql(r"\i /etc/orders/roles.sql", DATABASE)


def copy_logins(servers: Release, release: Release) -> None:
    for name in SECRETS.values():
        copy_secret(servers, release, name)


def external(servers: Release) -> list[str]:
    """Return Helm's options for a release that uses these servers, and migrates with a hook."""
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
