"""A new password of PostgreSQL takes effect without a restart."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.kit.callbacks import TOKEN_FILE
from tests.kit.factories import order_document
from tests.kit.harness import Harness, order_status, orders
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 30.0
REJECTED = "the connection to PostgreSQL failed: authentication failed: wrong or missing password"


@dataclass(frozen=True)
class Login:
    """A role whose password the processes read from a file."""

    role: str
    admin: psycopg.Connection
    file: Path

    def set_password(self, password: str) -> None:
        """Change the password, and terminate the role's sessions."""
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.role), sql.Literal(password))
        self.admin.execute(statement)
        self.end_sessions()

    def end_sessions(self) -> None:
        self.admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [self.role])

    def write(self, password: str) -> None:
        """Replace the file atomically, as the kubelet does."""
        (new := self.file.with_suffix(".new")).write_text(password)
        new.replace(self.file)


@pytest.fixture
def login(admin: psycopg.Connection, tmp_path: Path) -> Iterator[Login]:
    role = f"rotated_{uuid4().hex}"
    admin.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD 'first'").format(sql.Identifier(role)))
    login = Login(role, admin, tmp_path / "password")
    login.write("first")
    yield login
    login.end_sessions()
    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def settings_with(source: str, harness: Harness, login: Login) -> Mapping[str, str]:
    parameters = conninfo_to_dict(harness.database) | {"user": login.role}
    dsn = make_conninfo(**{name: str(value) for name, value in parameters.items() if name != "password"})
    settings = {**harness.settings, "ORDERS_POSTGRES__DSN": dsn}
    if source == "password file":
        return settings | {"ORDERS_POSTGRES__PASSWORD_FILE": str(login.file)}
    callback = {"ORDERS_POSTGRES__TOKEN_CALLBACK": "tests.kit.callbacks:token_of_file", TOKEN_FILE: str(login.file)}
    return settings | callback


def problems_of(consumer: Service) -> set[str]:
    return {line["problem"] for line in consumer.logged("storing failed")}


def cannot_read(api: Service, uid: str, login: Login) -> bool:
    """Return whether the API answers 503. Ends its session if it logged in just before the password changed."""
    login.end_sessions()
    return order_status(api, uid) == 503


def receptions(api: Service) -> int:
    """Return how many times the API began to receive notifications."""
    return len([line for line in api.logged("receiving notifications") if line["level"] == "info"])


@pytest.mark.parametrize("source", ["password file", "token callback"])
def test_a_new_password_takes_effect_without_a_restart(
    harness: Harness, spawn: Spawn, login: Login, source: str
) -> None:
    harness = replace(harness, settings=settings_with(source, harness, login))
    consumer, api = harness.consumer(), spawn("api", settings=harness.settings).ready()
    documents = [order_document(), order_document()]
    first, second = (str(document["order_uid"]) for document in documents)
    harness.produce(*orders(documents[:1]))
    harness.wait_stored({first})
    eventually(lambda: receptions(api) == 1, TIMEOUT_SECONDS, "the API receives notifications")
    login.set_password("second")
    harness.produce(*orders(documents[1:]))
    eventually(lambda: REJECTED in problems_of(consumer), TIMEOUT_SECONDS, "the consumer is rejected")
    eventually(lambda: cannot_read(api, second, login), TIMEOUT_SECONDS, "the API cannot read")
    login.write("second")
    harness.wait_stored({first, second}, TIMEOUT_SECONDS)
    eventually(lambda: order_status(api, second) == 200, TIMEOUT_SECONDS, "the API reads the new order")
    eventually(lambda: receptions(api) == 2, TIMEOUT_SECONDS, "the API receives notifications again")
    assert harness.dead_letters() == []
    assert (consumer.stop(), api.stop()) == (0, 0)


def test_commands_read_the_password_file(harness: Harness, login: Login) -> None:
    harness = replace(harness, settings=settings_with("password file", harness, login))
    assert "nothing to do" in harness.output_of("migrate")
    assert "would be deleted" in harness.output_of("prune", "--older-than", "3650d", "--dry-run")
    os.truncate(login.file, 0)
    doctor = harness.spawn("doctor", settings=harness.settings)
    assert doctor.process.wait(60) == 1
    assert "ORDERS_POSTGRES__PASSWORD_FILE is empty" in doctor.tail()
