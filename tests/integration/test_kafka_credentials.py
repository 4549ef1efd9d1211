"""New passwords and tokens of Kafka take effect without a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import sasl, servers, temporary
from tests.kit.api_process import get
from tests.kit.callbacks import LIFETIME_SECONDS, TOKEN_FILE
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually

FIRST, SECOND = "first-secret", "second-secret"
KEY = "a-key-for-everything-here"
USER = "shop"
TIMEOUT_SECONDS = 30.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sasl.Kafka]:
    with sasl.kafka(tmp_path_factory.mktemp("kafka")) as running:
        servers.warm_up_kafka(running.plain)
        yield running


@pytest.fixture
def harness(broker: sasl.Kafka, database: str, tmp_path: Path, spawn: Spawn) -> Iterator[Harness]:
    """Consumers and APIs log in; the harness itself does not."""
    (keys := tmp_path / "keys").write_text(f"read,dead-letters {KEY}\n")
    with temporary.topic(broker.plain) as topic:
        settings = servers.settings(servers.Kafka(broker.sasl), topic, database) | {
            "ORDERS_KAFKA__PROPERTIES__security.protocol": "SASL_PLAINTEXT",
            "ORDERS_AUTH__KEYS_FILE": str(keys),
        }
        yield Harness(broker.plain, topic, database, settings, spawn)


class Progress:
    """Produces an order and an invalid message at a time, and waits for their results."""

    def __init__(self, harness: Harness, consumer: Service, api: Service) -> None:
        self._harness = harness
        self._uids: set[str] = set()
        self.consumer, self.api = consumer, api

    def produce(self) -> None:
        document = order_document()
        self._uids.add(document["order_uid"])
        self._harness.produce(*orders([document]), Sent(b"not an order"))

    def wait(self) -> None:
        """Block until the consumer has stored and dead-lettered everything, and the API reads both from Kafka."""
        self._harness.wait_stored(self._uids, TIMEOUT_SECONDS)
        count = len(self._uids)
        eventually(lambda: len(self._harness.dead_letters()) == count, TIMEOUT_SECONDS, "the dead letters are sent")
        eventually(lambda: len(self._get("/dead-letters")["dead_letters"]) == count, TIMEOUT_SECONDS, "the API reads")
        eventually(lambda: self._get("/stats")["lag"] == 0, TIMEOUT_SECONDS, "the API reads the lag")

    def stop(self) -> None:
        """Stop both; neither has printed a secret."""
        assert (self.consumer.stop(), self.api.stop()) == (0, 0)
        output = self.consumer.log.read_text() + self.api.log.read_text()
        assert not [secret for secret in (FIRST, SECOND) if secret in output]

    def _get(self, path: str) -> Any:
        return get(self.api, path, **{"x-api-key": KEY}).json()


def start(harness: Harness, **login: str) -> Progress:
    settings = {**harness.settings, **login}
    api = harness.spawn("api", settings=settings).ready()
    return Progress(harness, harness.consumer(**login), api)


def test_a_new_password_takes_effect_without_a_restart(broker: sasl.Kafka, harness: Harness, tmp_path: Path) -> None:
    (file := tmp_path / "password").write_text(FIRST)
    sasl.set_password(broker.plain, USER, FIRST)
    login = {
        "ORDERS_KAFKA__PROPERTIES__sasl.mechanism": "SCRAM-SHA-512",
        "ORDERS_KAFKA__PROPERTIES__sasl.username": USER,
        "ORDERS_KAFKA__PASSWORD_FILE": str(file),
    }
    progress = start(harness, **login)
    progress.produce()
    progress.wait()
    sasl.set_password(broker.plain, USER, SECOND)
    rejected = "authentication failed: wrong user or password"
    eventually(
        lambda: rejected in {line["problem"] for line in progress.consumer.logged("cannot reach Kafka")},
        TIMEOUT_SECONDS,
        "the broker rejects the consumer's first password",
    )
    progress.produce()
    (new := tmp_path / "new").write_text(SECOND)
    new.replace(file)
    progress.wait()
    eventually(
        lambda: progress.consumer.logged("Kafka's password reloaded"), TIMEOUT_SECONDS, "the new password is logged"
    )
    progress.stop()


def test_a_function_provides_a_token_for_each_login(harness: Harness, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    login = {
        "ORDERS_KAFKA__PROPERTIES__sasl.mechanism": "OAUTHBEARER",
        "ORDERS_KAFKA__PROPERTIES__sasl.oauthbearer.config": USER,
        "ORDERS_KAFKA__TOKEN_CALLBACK": "tests.kit.callbacks:unsigned_token",
        "ORDERS_DEAD_LETTERS__EXACTLY_ONCE": "true",
        TOKEN_FILE: str(calls),
    }
    progress = start(harness, **login)
    progress.produce()
    progress.wait()
    before = len(calls.read_text().splitlines())
    eventually(
        lambda: len(calls.read_text().splitlines()) > before + 4, 3 * LIFETIME_SECONDS, "clients replace their tokens"
    )
    progress.produce()
    progress.wait()
    assert set(calls.read_text().splitlines()) == {USER}
    progress.stop()


def test_a_missing_password_ends_a_command_with_one_line(harness: Harness, tmp_path: Path) -> None:
    command = harness.spawn(
        "dlq",
        "list",
        settings={**harness.settings, "ORDERS_KAFKA__PASSWORD_FILE": str(tmp_path / "none")},
    )
    assert command.process.wait(30) == 1
    assert command.tail() == (
        "orders: cannot log in to Kafka: ORDERS_KAFKA__PASSWORD_FILE cannot be read: No such file or directory"
    )
