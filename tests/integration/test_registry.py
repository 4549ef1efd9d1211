"""Messages whose schemas are in a real schema registry."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from generator.encodings import KINDS, Encoding, encoder, framed, schema_text
from service.config import RegistrySettings
from service.errors import RegistryUnavailable
from service.handler.kafka.registry.client import RegistryClient
from service.handler.kafka.registry.frame import ID_HEADER
from tests.kit.consumers import assigned
from tests.kit.factories import SAMPLE, order_document
from tests.kit.harness import Harness, Sent, headers, metric
from tests.kit.registry import REQUEST_SECONDS, Registry, registry
from tests.kit.registry_login import PASSWORD, USER, secured
from tests.kit.waiting import eventually, throughout

ENCODINGS: tuple[Encoding, ...] = tuple(KINDS)
PUBLISHED = Path(__file__).parents[2] / "docs/order.proto"
UNKNOWN_ID = 1_000_000
GONE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def variables(server: Registry) -> Mapping[str, str]:
    return {
        "ORDERS_REGISTRY__URLS": server.url,
        "ORDERS_REGISTRY__UNKNOWN_ID_ATTEMPTS": "5",
        "ORDERS_RETRY__INITIAL_BACKOFF": "0.05",
    }


def sent(encoding: Encoding, schema_id: int, *uids: str) -> list[Sent]:
    encode = encoder(encoding)
    return [Sent(framed(schema_id, encode(order_document(order_uid=uid)))) for uid in uids]


def register(server: Registry, encoding: Encoding, subject: str) -> int:
    return server.register(f"{subject}-value", KINDS[encoding], schema_text(encoding))


def details(harness: Harness) -> list[str]:
    found = [dict(headers(each)) for each in harness.dead_letters()]
    return sorted((each["dlq-detail"] or b"").decode() for each in found)


def test_orders_in_every_format_are_stored_as_they_are_in_json(
    harness: Harness, server: Registry, variables: Mapping[str, str]
) -> None:
    consumer = assigned(harness.consumer(**variables))
    for encoding in ENCODINGS:
        harness.produce(
            *sent(encoding, register(server, encoding, harness.topic + encoding), f"{encoding}-1", f"{encoding}-2")
        )
    harness.produce(*sent("confluent-json", register(server, "confluent-json", "order"), SAMPLE["order_uid"]))
    harness.wait_stored({SAMPLE["order_uid"], *(f"{each}-{number}" for each in ENCODINGS for number in (1, 2))})
    rows = harness.query("SELECT DISTINCT date_created, customer_id, sm_id, oof_shard FROM orders")
    assert len(rows) == 1
    eventually(lambda: metric(consumer, "orders_decoded_total", format="confluent") == 7, what="7 messages are counted")
    assert metric(consumer, "orders_dependency_up", dependency="registry") == 1
    assert harness.dead_letters() == []


def test_a_protobuf_schema_may_be_registered_as_text(
    harness: Harness, server: Registry, variables: Mapping[str, str]
) -> None:
    """As Java's serializer does; Apicurio returns the text."""
    schema_id = server.register(harness.topic, "PROTOBUF", PUBLISHED.read_text())
    harness.produce(*sent("protobuf", schema_id, "a"))
    harness.consumer(**variables)
    harness.wait_stored({"a"})


def test_bad_messages_are_dead_lettered_with_their_schema(
    harness: Harness, server: Registry, variables: Mapping[str, str]
) -> None:
    schema_id = register(server, "avro", harness.topic)
    assigned(harness.consumer(**variables))
    unchanged = framed(schema_id, b"\x02")
    harness.produce(Sent(unchanged), *sent("avro", schema_id, ""), *sent("avro", UNKNOWN_ID, "unknown"))
    harness.produce(*sent("avro", schema_id, "good"))
    harness.wait_stored({"good"})
    eventually(lambda: len(harness.dead_letters()) == 3, what="three dead letters")
    unknown, mismatch, invalid = details(harness)
    assert unknown == f"Confluent wire format, schema id {UNKNOWN_ID}: the registry does not know the schema"
    assert mismatch == f"Confluent wire format, schema id {schema_id}: Avro bytes do not match the schema"
    assert invalid.startswith(f"Confluent wire format, schema id {schema_id}; order_uid: Expected str of length >= 1")
    assert unchanged in [each.value() for each in harness.dead_letters()]


def test_a_guid_that_the_registry_does_not_know_is_dead_lettered(
    harness: Harness, variables: Mapping[str, str]
) -> None:
    guid = uuid4()
    harness.produce(Sent(encoder("avro")(order_document()), headers=[(ID_HEADER, b"\x01" + guid.bytes)]))
    harness.consumer(**variables)
    eventually(lambda: harness.dead_letters() != [], what="a dead letter")
    assert details(harness) == [f"Confluent wire format, schema GUID {guid}: the registry does not know the schema"]


def test_a_registry_that_is_down_stops_nothing_for_good(harness: Harness, tmp_path: Path) -> None:
    """The consumer pauses, commits nothing, and continues when the registry is back."""
    with registry(tmp_path) as server:
        schema_id = register(server, "avro", "orders")
        server.stop()
        consumer = assigned(harness.consumer(ORDERS_REGISTRY__URLS=server.url, ORDERS_RETRY__GIVE_UP_AFTER="0.5"))
        harness.produce(*sent("avro", schema_id, *map(str, range(300))))
        eventually(lambda: metric(consumer, "orders_paused_seconds_total") > 0, what="fetching is paused")
        throughout(lambda: not harness.stored() and not harness.committed(), 1, what="nothing is stored or committed")
        assert metric(consumer, "orders_dependency_up", dependency="registry") == 0
        assert f"cannot use the schema registry at {server.url}: connection refused" in consumer.tail()
        server.start()
        assert register(server, "avro", "orders") == schema_id
        harness.wait_stored(set(map(str, range(300))))
        assert metric(consumer, "orders_dependency_up", dependency="registry") == 1
    harness.wait_committed({0: 300})
    assert harness.dead_letters() == []


def test_a_killed_consumer_loses_and_repeats_nothing(
    harness: Harness, server: Registry, variables: Mapping[str, str]
) -> None:
    uids = {f"{encoding}-{number}" for encoding in ENCODINGS for number in range(1_000)}
    for encoding in ENCODINGS:
        schema_id = register(server, encoding, "killed")
        harness.produce(*sent(encoding, schema_id, *(uid for uid in uids if uid.startswith(encoding))))
    small_batches = {"ORDERS_BATCH__MAX_MESSAGES": "100"}
    consumer = harness.consumer(**variables, **small_batches)
    eventually(harness.stored, 30, what="the first orders are stored")
    consumer.kill()
    assigned(harness.consumer(**variables, **small_batches))
    harness.wait_stored(uids, 60)
    harness.wait_committed({0: len(uids)})
    assert harness.query("SELECT count(*) FROM items") == [(len(uids) * len(SAMPLE["items"]),)]
    assert harness.dead_letters() == []


def test_a_consumer_stops_while_the_registry_is_down(harness: Harness) -> None:
    consumer = assigned(harness.consumer(ORDERS_REGISTRY__URLS=GONE))
    harness.produce(*sent("avro", 1, "a"))
    eventually(lambda: "loading a schema failed" in consumer.tail(), what="a failed attempt")
    assert consumer.stop() == 0
    assert harness.committed() == {}


@pytest.mark.parametrize(
    ("path", "problem"),
    [("/wrong", "no schema registry at this address"), (":1", "connection refused")],
)
def test_a_wrong_address_is_an_outage_and_no_unknown_schema(server: Registry, path: str, problem: str) -> None:
    address = server.url.replace("/apis/ccompat/v7", path) if path.startswith("/") else f"http://127.0.0.1{path}"
    with pytest.raises(RegistryUnavailable, match=problem):
        RegistryClient(RegistrySettings(urls=address)).fetch(1)


def test_the_next_address_is_used_if_the_first_one_fails(server: Registry) -> None:
    schema_id = register(server, "avro", "several")
    with closing(RegistryClient(RegistrySettings(urls=f"http://127.0.0.1:1,{server.url}"))) as client:
        schema = client.fetch(schema_id)
    assert schema is not None
    assert schema.schema_type == "AVRO"


def test_a_schema_comes_with_those_that_it_refers_to(server: Registry) -> None:
    city = {"type": "record", "name": "City", "fields": [{"name": "name", "type": "string"}]}
    server.register("city", "AVRO", city)
    order = {"type": "record", "name": "Order", "fields": [{"name": "city", "type": "City"}]}
    reference = {"name": "City", "subject": "city", "version": 1}
    schema_id = server.register("with-city", "AVRO", order, references=[reference])
    with closing(RegistryClient(RegistrySettings(urls=server.url))) as client:
        schema = client.fetch(schema_id)
    assert schema is not None
    assert [each.name for each in schema.references] == ["City"]


@pytest.fixture
def login(server: Registry, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Settings for the registry behind a server that requires TLS, a certificate and a password."""
    with secured(server.url, tmp_path) as started:
        yield {
            "urls": started.url,
            "timeout": REQUEST_SECONDS,
            "username": USER,
            "password": PASSWORD,
            "ca_file": started.authority,
            "certificate_file": started.client.certificate,
            "key_file": started.client.key,
        }


def test_a_password_and_a_certificate_are_accepted(login: Mapping[str, Any]) -> None:
    with closing(RegistryClient(RegistrySettings(**login))) as client:
        schema = client.fetch(client.register("secured", "AVRO", schema_text("avro")))
    assert schema is not None
    assert schema.text == schema_text("avro")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"password": "other"}, r"authentication failed \(status 401\)"),
        ({"certificate_file": None, "key_file": None}, "status 400"),
        ({"ca_file": None}, "TLS handshake failed"),
    ],
)
def test_a_rejected_login_is_an_outage(login: Mapping[str, Any], changed: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(RegistryUnavailable, match=problem) as error:
        RegistryClient(RegistrySettings(**{**login, **changed})).fetch(1)
    assert PASSWORD not in str(error.value)


@pytest.mark.parametrize("encoding", KINDS)
def test_generated_orders_are_checked_in_every_format(
    harness: Harness, variables: Mapping[str, str], encoding: Encoding
) -> None:
    plan = ("--count", "300", "--seed", "7", "--invalid", "0.1", "--updates", "0.1", "--duplicates", "0.1")
    until = ("--until", "2025-06-01T00:00:00Z")
    settings = {**harness.settings, **variables}
    generate = harness.spawn("generate", *plan, *until, "--format", encoding, settings=settings)
    assert generate.process.wait(60) == 0, generate.tail()
    assigned(harness.consumer(**variables, ORDERS_CIRCUIT_BREAKER__ENABLED="false"))
    check = harness.spawn("check", *plan, *until, "--format", encoding, settings=settings)
    assert check.process.wait(90) == 0, check.tail(100)


def test_generating_another_format_needs_a_registry(harness: Harness) -> None:
    command = harness.spawn("generate", "--format", "avro", settings=harness.settings)
    assert command.process.wait(60) == 2
    assert "generate: --format avro needs ORDERS_REGISTRY__URLS" in command.tail()


def test_the_doctor_asks_the_registry(harness: Harness, server: Registry) -> None:
    def output(url: str) -> str:
        command = harness.spawn("doctor", settings={**harness.settings, "ORDERS_REGISTRY__URLS": url})
        command.process.wait(60)
        return command.tail(100)

    assert "✓ schema registry        AVRO, JSON, PROTOBUF" in output(server.url)
    assert f"✗ schema registry        cannot use the schema registry at {GONE}: connection refused" in output(GONE)
