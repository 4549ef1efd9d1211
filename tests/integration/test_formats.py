"""Messages in every format are stored, served and dead-lettered by real processes like plain JSON."""

import json
import shlex
from gzip import compress

import httpx2
from msgspec.json import encode

from generator.formats import FORMATS, MIXED, wrap
from service.entities.dead_letter_headers import Header
from tests.kit.bad_messages import dlq_headers
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, metric

STREAM = shlex.split(
    "--count 400 --seed 5 --invalid .2 --duplicates .1 --stale .1 --updates .1 --tombstones .05 "
    "--until 2025-01-01T00:00:00Z --format mixed"
)


def test_a_generated_stream_of_all_formats_is_stored_exactly(harness: Harness) -> None:
    assert "delivered 400, failed 0" in harness.output_of("generate", *STREAM)
    service = harness.consumer()
    assert harness.output_of("check", *STREAM).endswith("\nexact")
    formats = ("json", "cloudevents", "debezium", "connect")
    assert min(metric(service, "orders_decoded_total", format=name) for name in formats) > 10


def test_an_order_of_each_format_is_served_as_it_was_sent(harness: Harness) -> None:
    documents = {name: order_document(entry=f"{name}\t\\") for name in FORMATS if name != MIXED}
    sent = [Sent(wrap(encode(each), name)[0], headers=wrap(encode(each), name)[1]) for name, each in documents.items()]
    harness.produce(*sent)
    harness.consumer()
    harness.wait_committed({0: len(sent)})
    api = harness.spawn("api", settings=harness.settings).ready()
    for document in documents.values():
        assert httpx2.get(f"{api.url}/orders/{document['order_uid']}").json() == document


def test_a_format_that_is_not_accepted_is_dead_lettered_by_name(harness: Harness) -> None:
    order = order_document()
    plain, other = encode(order), wrap(encode(order_document()), "cloudevents")[0]
    harness.produce(Sent(compress(plain)), Sent(other), Sent(b"\0\0\0\0\x11" + plain))
    harness.consumer(ORDERS_DOCUMENT__FORMAT="json")
    harness.wait_committed({0: 3})
    assert harness.stored() == {order["order_uid"]}
    details = {dead_letter.value(): dlq_headers(dead_letter)[Header.DETAIL] for dead_letter in harness.dead_letters()}
    assert details == {
        other: "CloudEvents: set ORDERS_DOCUMENT__FORMAT to auto or cloudevents",
        b"\0\0\0\0\x11"
        + plain: "Confluent wire format, schema id 17: set ORDERS_DOCUMENT__FORMAT to auto or confluent",
    }


def test_an_order_with_other_names_and_types_and_a_default_is_stored(harness: Harness) -> None:
    order = order_document(entry='a\t"\\b', sm_id=7)
    message = {name: value for name, value in order.items() if name not in ("entry", "shardkey")}
    harness.produce(Sent(encode(message | {"shard_key": order["shardkey"], "sm_id": "7"})))
    service = harness.consumer(
        ORDERS_DOCUMENT__ALIASES='{"shard_key": "shardkey"}',
        ORDERS_DOCUMENT__DEFAULTS=json.dumps({"entry": order["entry"]}),  # with characters that COPY must escape
        ORDERS_DOCUMENT__COERCE="true",
    )
    harness.wait_committed({0: 1})
    assert metric(service, "orders_coerced_values_total") == 1
    api = harness.spawn("api", settings=harness.settings).ready()
    assert httpx2.get(f"{api.url}/orders/{order['order_uid']}").json() == order
