"""Passwords in files and tokens of functions, for Kafka."""

import logging
from pathlib import Path
from time import time
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from service.config import KafkaSettings
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import login, properties
from service.handler.kafka.client.login import PasswordWatch, login_properties, token_refresh
from service.pkg.run_with_timeout import start_daemon_thread
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.callbacks import TOKEN_FILE
from tests.kit.config import SECRET
from tests.kit.waiting import eventually

PROPERTIES = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "shop"}


class Client:
    """Records its credentials."""

    def __init__(self) -> None:
        self.credentials: list[tuple[str, str]] = []

    def set_sasl_credentials(self, username: str, password: str) -> None:
        self.credentials.append((username, password))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (file := tmp_path / "password").write_text("first\n")
    return file


@pytest.fixture
def kafka(file: Path) -> KafkaSettings:
    return KafkaSettings(properties=PROPERTIES, password_file=file)


def watch_of(kafka: KafkaSettings) -> PasswordWatch:
    return PasswordWatch(kafka, structlog.get_logger())


def test_a_client_gets_the_password_that_the_file_has_when_it_is_created(kafka: KafkaSettings, file: Path) -> None:
    assert properties.common(kafka)["sasl.password"] == "first"
    file.write_text("second")
    assert properties.given(kafka) == PROPERTIES | {"sasl.password": "second"}


def test_without_a_password_no_client_is_created(kafka: KafkaSettings, file: Path) -> None:
    file.unlink()
    with pytest.raises(KafkaRequestFailed) as raised:
        properties.common(kafka)
    assert str(raised.value) == (
        "cannot log in to Kafka: ORDERS_KAFKA__PASSWORD_FILE cannot be read: No such file or directory"
    )
    properties.verify(kafka)  # whether librdkafka accepts the properties does not depend on it


def test_running_clients_get_a_new_password(kafka: KafkaSettings, file: Path) -> None:
    watch = watch_of(kafka)
    clients = [watch.add(Client()), watch.add(Client())]
    with capture_logs() as logs:
        watch.check()
        watch.check()
        assert logs == []
        file.write_text("second")
        watch.check()
    assert [client.credentials for client in clients] == [[("shop", "first"), ("shop", "second")]] * 2
    assert [(entry["event"], entry["clients"]) for entry in logs] == [("Kafka's password reloaded", 2)]


def test_the_first_password_is_not_a_new_one(kafka: KafkaSettings) -> None:
    with capture_logs() as logs:
        watch_of(kafka).check()
    assert logs == []


def test_without_a_user_name_the_client_gets_an_empty_one(file: Path) -> None:
    watch = watch_of(KafkaSettings(password_file=file))
    client = watch.add(Client())
    watch.check()
    assert client.credentials == [("", "first")]


def test_a_client_that_is_added_later_gets_the_current_password(kafka: KafkaSettings) -> None:
    watch = watch_of(kafka)
    watch.check()
    client = watch.add(Client())
    watch.check()
    assert client.credentials == [("shop", "first")]


def test_while_the_file_is_unreadable_clients_keep_their_password(kafka: KafkaSettings, file: Path) -> None:
    watch = watch_of(kafka)
    client = watch.add(Client())
    file.write_text("")
    with capture_logs() as logs:
        watch.check()
        watch.check()
        file.unlink()
        watch.check()
    assert client.credentials == []
    assert [(entry["event"], entry["setting"], entry["problem"]) for entry in logs] == [
        ("cannot read Kafka's password", "ORDERS_KAFKA__PASSWORD_FILE", problem)
        for problem in ("is empty", "cannot be read: No such file or directory")
    ]
    file.write_text("second")
    watch.check()
    assert client.credentials == [("shop", "second")]


def test_a_watch_runs_until_shutdown(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "CHECK_INTERVAL_SECONDS", 0.01)
    watch, stop = watch_of(kafka), ShutdownEvent()
    client = watch.add(Client())
    running = start_daemon_thread(lambda: watch.run(stop))
    eventually(lambda: client.credentials)
    stop.set()
    running.result(10)


def test_without_a_file_nothing_is_watched() -> None:
    watch = watch_of(KafkaSettings())
    client = watch.add(Client())
    watch.check()
    watch.run(ShutdownEvent())
    assert client.credentials == []


def test_a_callback_provides_the_token_and_may_add_details() -> None:
    details = ("principal", {"logicalCluster": "lkc-1"})
    refresh = token_refresh(lambda config: (f"token for {config}", time() + 900, *details), "shop")
    text, expires_at, *rest = refresh("shop")
    assert (text, rest) == ("token for shop", [*details])
    assert 0 < expires_at - time() <= 900
    assert refresh("other")[0] == "token for other"


def test_the_first_token_is_fetched_before_a_client_needs_it() -> None:
    results = [("second", time() + 900), ("first", time() + 900)]
    refresh = token_refresh(lambda _: results.pop(), None)
    assert results == [results[0]]
    assert [refresh(None)[0], refresh(None)[0]] == ["first", "second"]


def test_the_first_token_is_fetched_with_the_configuration_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(login, "token_refresh", lambda _, config: given.append(config))
    mechanism = {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.config": "scope=orders"}
    callback = "tests.kit.callbacks:token_of_file"
    login_properties(KafkaSettings(properties=mechanism, token_callback=callback))
    assert given == ["scope=orders"]


def failing(_: Any) -> Any:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("callback", "problem"),
    [
        (failing, "failed with RuntimeError"),
        (lambda _: ("token", time() + 900, 7), "must return a token, its expiry, principal and extensions"),
    ],
)
def test_without_a_token_no_client_is_created(callback: Any, problem: str) -> None:
    with pytest.raises(KafkaRequestFailed) as raised:
        token_refresh(callback, None)
    assert str(raised.value) == f"cannot log in to Kafka: ORDERS_KAFKA__TOKEN_CALLBACK {problem}"


def test_a_later_failure_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    results = [("first", time() + 900)]
    refresh = token_refresh(lambda _: results.pop(), None)
    refresh(None)
    with caplog.at_level(logging.WARNING, "librdkafka"), pytest.raises(KafkaRequestFailed):
        refresh(None)
    message = "cannot log in to Kafka: ORDERS_KAFKA__TOKEN_CALLBACK failed with IndexError"
    assert caplog.record_tuples == [("librdkafka", logging.WARNING, message)]


def test_every_client_has_the_callback(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_FILE, str(file))
    callback = "tests.kit.callbacks:token_of_file"
    settings = KafkaSettings(properties={"sasl.mechanism": "OAUTHBEARER"}, token_callback=callback)
    assert login_properties(settings)["oauth_cb"](None)[0] == "first\n"
    for made in (
        properties.common(settings),
        properties.consumer(settings),
        properties.producer(settings),
        properties.transactional(settings, "orders-1"),
        properties.dead_letter_reader(settings),
        properties.order_peeker(settings),
    ):
        assert callable(made["oauth_cb"])
