"""Replays selected dead letters for the API."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from confluent_kafka import Consumer

from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.client.translate import translated
from service.handler.kafka.dead_letters.delivery import ReplaceableProducer
from service.handler.kafka.dead_letters.replay import KafkaReplaySource, ReplayProducer, partition_lookup
from service.pkg.acquire import acquired_within
from service.pkg.run_with_timeout import run_in_daemon_thread
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.replay import ReadUid, ReplayRequest, ReplayResult
from service.usecases.selected_replay import MAX_SELECTED, replay_selected

REPLAY_TIMEOUT_SECONDS: Final = 15.0
"""How long a replay may take to read the dead letters, without the pauses that its rate requires; it then sends no
more."""
API_DELIVERY_TIMEOUT_SECONDS: Final = 10.0
QUEUE_TIMEOUT_SECONDS: Final = 10.0
"""How long a replay may wait for others to end."""


class Replayer:
    """Implements usecases.ports.replay.DeadLetterReplayer. Connects at the first replay. For one event loop.

    `connect` makes a consumer that joins no group and reports partition ends. Replays run one after the other, so that
    few dead letters are in memory, and so that successive ones keep to their rate.
    """

    def __init__(
        self,
        connect: Callable[[], Consumer],
        producer: ReplaceableProducer,
        *,
        subscription: Subscription,
        dead_letter_topic: str,
        read_uid: ReadUid,
    ) -> None:
        self._connect = connect
        self._producer = producer
        self._subscription = subscription
        self._dead_letter_topic = dead_letter_topic
        self._read_uid = read_uid
        self._consumer: Consumer | None = None
        self._lock = asyncio.Lock()

    async def replay(self, request: ReplayRequest) -> Sequence[ReplayResult]:
        timeout = KafkaUnavailable("other replays are running")
        async with acquired_within(QUEUE_TIMEOUT_SECONDS, self._lock, timeout):
            return await run_in_daemon_thread(partial(self._replay, request))

    def _replay(self, request: ReplayRequest) -> Sequence[ReplayResult]:
        try:
            pauses = MAX_SELECTED / request.rate if request.rate else 0
            with translated(), _stop_after(REPLAY_TIMEOUT_SECONDS + pauses) as stop:
                return self._read_and_send(request, stop)
        except KafkaRequestFailed as error:
            self._producer.close()  # so that nothing is sent after the response
            if isinstance(error, KafkaUnavailable):
                raise KafkaUnavailable("Kafka is unreachable; dead letters may have been sent") from error
            raise

    def _read_and_send(self, request: ReplayRequest, stop: ShutdownEvent) -> Sequence[ReplayResult]:
        if self._consumer is None:
            self._consumer = self._connect()
        source = KafkaReplaySource(open_topic(self._consumer, self._dead_letter_topic), stop)
        target = ReplayProducer(
            self._producer.get(),
            partition_lookup(self._subscription, self._consumer),
            stop,
            replayed_by=request.replayed_by,
            delivery_timeout=API_DELIVERY_TIMEOUT_SECONDS,
        )
        try:
            return replay_selected(request, self._subscription, source, target, stop, self._read_uid)
        finally:
            self._consumer.unassign()  # otherwise the client keeps fetching


@contextmanager
def _stop_after(seconds: float) -> Iterator[ShutdownEvent]:
    """Yield an event that is set after this time."""
    stop = ShutdownEvent()
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()
