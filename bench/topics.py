"""Topics that are filled before anything is measured."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final, NamedTuple
from uuid import uuid4

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.context import Context
from bench.processes import await_that
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.stream import VALID, Plan, stream
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

PARTITIONS: Final = 6
CALL_SECONDS: Final = 30.0
QUIET: Final = {"log_level": 2}
"""A server that is stopped at the end is no news."""


class Topic(NamedTuple):
    name: str
    dead_letters: str
    messages: int
    orders: int
    """How many different orders are among the messages."""


@contextmanager
def filled(context: Context, plan: Plan) -> Iterator[Topic]:
    """Yield a topic of six partitions that holds what `plan` says, and a dead-letter topic; both go at the end."""
    name = f"orders-bench-{uuid4().hex[:12]}"
    both = name, f"{name}.dlq"
    admin = AdminClient({"bootstrap.servers": context.bootstrap_servers, **QUIET})
    done(admin.create_topics([NewTopic(each, PARTITIONS, config={"retention.ms": "-1"}) for each in both]))
    try:
        await_that(lambda: set(both) <= admin.list_topics(timeout=CALL_SECONDS).topics.keys(), "topics", CALL_SECONDS)
        yield Topic(*both, plan.count, _fill(context, name, plan))
    finally:
        done(admin.delete_topics([*both]))


def done(requests: Mapping[str, Future[None]]) -> None:
    """Block until each is. Raises KafkaException."""
    for request in requests.values():
        request.result(CALL_SECONDS)


def _fill(context: Context, name: str, plan: Plan) -> int:
    """Produce the plan; return how many different orders it holds."""
    if not plan.count:
        return 0
    producer = open_producer(context.bootstrap_servers, name, {}, compress=False)
    tally = produce(stream(plan), producer, name, limiter=RateLimiter(0), stop=ShutdownEvent(), on_progress=_ignore)
    if not tally.complete:
        raise ServerUnavailable(f"Kafka did not take all messages ({', '.join(tally.failed)})")
    return tally.sent[VALID]


def _ignore(_: Tally) -> None: ...
