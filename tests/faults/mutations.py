"""`python -m tests.faults.mutations`: breaks one guarantee after the other, and runs the scenarios that must then fail.

A mutation replaces text in a copy of the tree. Exits 1 if a scenario passed with one. With
ORDERS_MUTATIONS_TABLE=FILE the table is written into that file, between its two marks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.table import aligned, write_into

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("service", "generator", "migrations", "local", "tests", "docs", "pyproject.toml")
SHORT_SETTLE: Final = ("tests/faults/workload.py", "SETTLE_SECONDS = 120.0", "SETTLE_SECONDS = 45.0")
"""What does not settle is no longer waited for: without the mutation it settles within a few seconds."""
ATTEMPTS: Final = 3
"""Some faults have to hit a moment, which with the mutation they do more often than not."""

CONSUMER: Final = "service/handler/kafka/consumer/loop.py"
TRANSACTIONS: Final = "service/handler/kafka/dead_letters/transactional.py"
TOPIC_IDENTITY: Final = "service/handler/kafka/consumer/topic_identity.py"
WRITES: Final = "service/repo/writes.py"
ERASURES: Final = "service/repo/erasures.py"
TRANSLATE: Final = "service/repo/translate.py"
INGEST: Final = "service/usecases/ingest.py"
LOOKUP: Final = "service/usecases/lookup.py"
LISTENER: Final = "service/repo/listener.py"
PROTOCOL: Final = "service/handler/http/fastpath/protocol.py"
REFUSES: Final = "    return state.startswith(_DATA_EXCEPTION) or state in _REFUSALS"


class Mutation(NamedTuple):
    """What is promised, the replacement that breaks it, and the scenarios that notice."""

    promise: str
    path: str
    old: str
    new: str
    scenarios: tuple[str, ...]


MUTATIONS: Final = (
    Mutation(
        "offsets are committed after the orders are stored",
        CONSUMER,
        "            self._worker.submit(self._builder.take(self._breaker.tried))\n",
        "            self._offsets.advance(self._builder.batch.end)\n"
        "            self._consumer.commit(offsets=self._offsets._wanted(), asynchronous=False)\n"
        "            self._worker.submit(self._builder.take(self._breaker.tried))\n",
        (
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-decoding]",
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-commit]",
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-dead-letters]",
            "test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-after-commit]",
        ),
    ),
    Mutation(
        "the end of a partition is committed after what lies before it is stored",
        CONSUMER,
        "        if passed := self._ends.passed(self._lag.done, pending):\n",
        "        if passed := self._ends.passed(self._lag.done, ()):\n",
        ("test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-commit]",),
    ),
    Mutation(
        "markers of transactions behind the last order are committed",
        CONSUMER,
        "            self._offsets.advance(passed)\n",
        "            pass\n",
        ("test_kafka.py::test_an_open_producer_transaction_blocks_later_orders_until_it_is[seed-1-committed]",),
    ),
    Mutation(
        "what is stored already is known when it comes again",
        WRITES,
        "        stored, erased = _probe(cursor, newest)\n",
        "        stored, erased = dict[str, Source](), set[str]()\n",
        (
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-commit]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-after-commit]",
        ),
    ),
    Mutation(
        "what was erased stays away",
        ERASURES,
        "            connection.execute(REFUSE, [[*uids]])\n",
        "            connection.execute(REFUSE, [[]])\n",
        ("test_erasure.py::test_orders_are_erased_while_members_write_and_one_is_killed[seed-1]",),
    ),
    Mutation(
        "an erasure waits for the batches that are being written",
        WRITES,
        "            with self._transactions.begin(SHARE) as connection:\n",
        "            with self._transactions.begin() as connection:\n",
        ("test_erasure.py::test_orders_are_erased_while_members_write_and_one_is_killed[seed-1]",),
    ),
    Mutation(
        "the greater version wins",
        "service/entities/version.py",
        "        return self[:3] > other[:3]",
        "        return True",
        (
            "test_consumers.py::test_two_members_without_a_fault[seed-1]",
            "test_orders.py::test_a_producers_clock_steps[seed-1-timestamp]",
        ),
    ),
    Mutation(
        "within a partition the log is trusted where that is asked for",
        "service/entities/version.py",
        'if order == "offset" and',
        'if order == "never" and',
        ("test_orders.py::test_a_producers_clock_steps[seed-1-offset]",),
    ),
    Mutation(
        "a dead letter names its origin",
        "service/handler/kafka/dead_letters/encoder.py",
        "record.partition, record.offset, max(",
        "record.partition, record.offset + 1, max(",
        ("test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-dead-letters]",),
    ),
    Mutation(
        "a dead member's partitions are taken over after six seconds",
        "service/handler/kafka/client/properties.py",
        '        "session.timeout.ms": session,\n',
        '        "session.timeout.ms": 45_000,\n',
        (
            "test_consumers.py::test_a_member_is_killed_and_restarted[seed-1]",
            "test_consumers.py::test_the_only_member_is_killed_and_restarted[seed-1]",
            "test_consumers.py::test_a_member_is_suspended_until_its_partitions_are_reassigned[seed-1]",
        ),
    ),
    Mutation(
        "the protocol `consumer` is told nothing of the classic one's",
        "service/handler/kafka/client/properties.py",
        "if name not in _CLASSIC_ONLY}",
        '} | {"session.timeout.ms": 6_000}',
        (
            "test_consumers.py::test_a_member_is_killed_with_group_protocol_consumer[seed-1]",
            "test_consumers.py::test_a_rebalance_storm[seed-1-consumer]",
        ),
    ),
    Mutation(
        "a frozen process keeps no locks",
        "service/pkg/tx.py",
        "SET LOCAL idle_in_transaction_session_timeout = {round(GRACE * 1000)}; ",
        "",
        ("test_consumers.py::test_a_member_is_suspended_at_a_failpoint[seed-1-before-commit]",),
    ),
    Mutation(
        "a session that was left in the midst of a COPY is ended by who waits for it",
        WRITES,
        "            if error.sqlstate == LOCK_NOT_AVAILABLE:\n",
        "            if False:\n",
        ("test_consumers.py::test_a_member_is_suspended_at_a_failpoint[seed-1-during-copy]",),
    ),
    Mutation(
        "SIGTERM waits for the running transaction and commits",
        CONSUMER,
        "        self._worker.wait_finished(DRAIN_TIMEOUT_SECONDS if self._worker.batch else 0)\n",
        "        os_exit = __import__('os')._exit\n        os_exit(0)\n",
        ("test_consumers.py::test_a_member_is_stopped_during_a_batch[seed-1]",),
    ),
    Mutation(
        "what is logged at the end is so",
        CONSUMER,
        "committed=self._offsets.are_committed and not given_up,",
        "committed=True,",
        ("test_kafka.py::test_a_member_is_stopped_while_the_broker_is_suspended[seed-1-at-least-once]",),
    ),
    Mutation(
        "of a batch that is being filled only what was taken away is dropped",
        CONSUMER,
        "        self._builder.batch.drop(revoked)\n        self._wait_for_write",
        "        self._builder.batch.drop(frozenset(self._builder.batch.next_offsets))\n        self._wait_for_write",
        ("test_consumers.py::test_a_rebalance_storm[seed-1-classic]",),
    ),
    Mutation(
        "a dead letter that was not taken is sent again",
        "service/handler/kafka/dead_letters/producer.py",
        "        if failed:\n            unsent",
        "        if False:\n            unsent",
        (
            "test_dead_letters.py::test_the_dead_letter_topic_is_missing[seed-1]",
            "test_dead_letters.py::test_the_dead_letter_topic_is_not_writable[seed-1]",
        ),
    ),
    Mutation(
        "a dead letter that is too large becomes a stub",
        "service/handler/kafka/dead_letters/delivery.py",
        "(KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)",
        "()",
        ("test_dead_letters.py::test_the_dead_letter_topic_rejects_large_messages[seed-1]",),
    ),
    Mutation(
        "the circuit breaker opens",
        "service/usecases/circuit_breaker.py",
        "        problem = self._count(outcomes)\n",
        "        problem = None\n",
        ("test_dead_letters.py::test_a_flood_of_invalid_messages_passes_once_the_circuit_breaker_is_disabled[seed-1]",),
    ),
    Mutation(
        "the circuit breaker closes by itself",
        "service/usecases/circuit_breaker.py",
        "        if sum(outcomes) <=",
        "        if len(outcomes) <=",
        ("test_dead_letters.py::test_the_circuit_breaker_closes_after_a_flood_of_invalid_messages[seed-1]",),
    ),
    Mutation(
        "refused orders are counted across batches",
        "service/usecases/circuit_breaker.py",
        "self._rejected_since_stored + refused if",
        "refused if",
        ("test_orders.py::test_postgresql_rejects_every_order_of_a_slow_stream[seed-1]",),
    ),
    Mutation(
        "each trial gets past what the last one has tried",
        "service/handler/kafka/consumer/breaker_control.py",
        "        self._probe.add(batch, unread)\n        self._probe.grow(self._settings.limits.messages)\n",
        "",
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "what was refused while others were stored is to blame itself",
        "service/usecases/batch.py",
        "        return refused.offset < self.tried.get(refused.partition, 0)\n",
        "        return False\n",
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "nothing of a trial is committed while orders are held back",
        INGEST,
        "        if not problem and is_probe:\n",
        "        if False:\n",
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "dead letters and offsets are committed in one Kafka transaction",
        TRANSACTIONS,
        "        _with_timeout(lambda: producer.send",
        "        _end_transaction(producer.commit_transaction)\n        producer.begin_transaction()\n"
        "        _with_timeout(lambda: producer.send",
        ("test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-before-transaction-commit]",),
    ),
    Mutation(
        "offsets are part of that transaction",
        TRANSACTIONS,
        "        _with_timeout(lambda: producer.send",
        "        len((metadata,)) or _with_timeout(lambda: producer.send",
        ("test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-after-transaction-commit]",),
    ),
    Mutation(
        "a transaction that failed is aborted",
        TRANSACTIONS,
        "            self._give_up(producer, error)\n",
        "",
        ("test_exactly_once.py::test_one_of_two_brokers_with_exactly_once[seed-1-is-killed]",),
    ),
    Mutation(
        "offsets are sent with the group's generation",
        "service/handler/kafka/consumer/group_metadata.py",
        "        return self._metadata\n",
        "        with closing(self._client()) as stranger:\n            return stranger.consumer_group_metadata()\n",
        ("test_exactly_once.py::test_a_member_is_suspended_with_exactly_once[seed-1]",),
    ),
    Mutation(
        "the generation is looked up again after each rebalance",
        "service/handler/kafka/consumer/group_metadata.py",
        "        if self._commits:\n",
        "        if self._commits and not self._metadata:\n",
        ("test_exactly_once.py::test_members_join_and_leave_with_exactly_once[seed-1]",),
    ),
    Mutation(
        "of a dead letter that is too large a smaller form goes into the next transaction",
        TRANSACTIONS,
        "            if error.code() in TOO_LARGE:\n",
        "            if False:\n",
        ("test_exactly_once.py::test_dead_letters_are_too_large_with_exactly_once[seed-1]",),
    ),
    Mutation(
        "a commit whose answer is lost is asked for",
        TRANSACTIONS,
        "        was_committed = self._is_in_doubt and ",
        "        was_committed = False and ",
        ("test_exactly_once.py::test_the_response_to_a_transaction_commit_is_lost[seed-1]",),
    ),
    Mutation(
        "what the client reports of the broker ends nothing",
        "service/handler/kafka/consumer/client_errors.py",
        '            self._log.warning("Kafka reports a problem", code=error.name())\n',
        "            raise KafkaException(error)\n",
        (
            "test_kafka.py::test_the_broker_is_restarted[seed-1]",
            "test_kafka.py::test_the_broker_is_killed[seed-1]",
            "test_kafka.py::test_connections_to_kafka_and_postgresql_are_closed_repeatedly[seed-1]",
            "test_kafka.py::test_the_group_coordinator_moves_to_another_broker[seed-1]",
            "test_exactly_once.py::test_one_of_two_brokers_with_exactly_once[seed-1-is-restarted]",
        ),
    ),
    Mutation(
        "a client that is dead ends the process",
        "service/handler/kafka/consumer/client_errors.py",
        "            self._fatal = self._fatal or error\n",
        "            pass\n",
        (
            "test_static_members.py::test_a_static_member_is_killed_and_restarted_at_once[seed-1-consumer]",
            "test_static_members.py::test_two_members_have_the_same_instance_id[seed-1-classic]",
            "test_static_members.py::test_two_members_have_the_same_instance_id[seed-1-consumer]",
        ),
    ),
    Mutation(
        "a commit that failed is repeated",
        CONSUMER,
        '            self._log.warning("a commit failed and will be retried"',
        '            raise KafkaException(error)\n            self._log.warning("a commit failed and will be retried"',
        ("test_kafka.py::test_the_broker_is_suspended_for_longer_than_the_session_timeout[seed-1]",),
    ),
    Mutation(
        "a topic that was deleted and created again is noticed",
        TOPIC_IDENTITY,
        "        if self._member.topic_id:\n            return found\n",
        "",
        (
            "test_topics.py::test_the_topic_is_recreated_while_a_member_is_suspended[seed-1-at-least-once]",
            "test_topics.py::test_the_topic_is_recreated_while_a_member_is_suspended[seed-1-exactly-once]",
            "test_topics.py::test_the_topic_is_deleted_and_recreated_later[seed-1-at-least-once]",
        ),
    ),
    Mutation(
        "a commit counts only in the log that it names",
        "service/handler/kafka/client/topic_id.py",
        "    return bool(topic_id) and",
        "    return False and",
        ("test_topics.py::test_offsets_of_a_deleted_topic_are_ignored[seed-1]",),
    ),
    Mutation(
        "a half-open connection to Kafka is given up",
        "service/handler/kafka/client/properties.py",
        '"socket.timeout.ms": 10_000,',
        '"socket.timeout.ms": 300_000,',
        ("test_kafka.py::test_connections_to_the_broker_become_half_open[seed-1]",),
    ),
    Mutation(
        "a refused batch is split until one order alone is to blame",
        INGEST,
        "                if len(part) == 1:\n                    refused",
        "                if part:\n                    refused",
        ("test_orders.py::test_postgresql_rejects_orders_of_a_large_batch[seed-1-1]",),
    ),
    Mutation(
        "it is split in large parts",
        INGEST,
        "    if position is None:\n        return split_in_half(part)\n",
        "    if part:\n        return [[entry] for entry in part]\n",
        ("test_orders.py::test_postgresql_rejects_orders_of_a_large_batch[seed-1-500-consecutive]",),
    ),
    Mutation(
        "a batch has a limit of messages",
        "service/usecases/batch.py",
        "            or len(self) >= limits.messages\n",
        "",
        ("test_orders.py::test_a_large_backlog_is_processed_within_256_mib[seed-1]",),
    ),
    Mutation(
        "a batch has a limit of bytes",
        "service/usecases/batch.py",
        "            or self.bytes >= limits.bytes\n",
        "",
        ("test_orders.py::test_orders_of_1_mib_are_processed_within_256_mib[seed-1]",),
    ),
    Mutation(
        "what failed because a server was away is repeated",
        INGEST,
        "    return isinstance(error, StorageUnavailable) and not",
        "    return False and not",
        (
            "test_postgres.py::test_postgresql_is_killed_twice[seed-1]",
            "test_postgres.py::test_postgresql_is_restarted[seed-1]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-during-copy]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-before-commit]",
        ),
    ),
    Mutation(
        "polling goes on in an outage",
        CONSUMER,
        "        elif not self._worker.wait_finished(PAUSE_AFTER_SECONDS):",
        "        elif not self._worker.wait_finished(1e6):",
        ("test_postgres.py::test_postgresql_is_down_for_longer_than_max_poll_interval[seed-1]",),
    ),
    Mutation(
        "what was paused when it was taken away flows when it comes back",
        "service/handler/kafka/consumer/fetch.py",
        "            self._consumer.resume(partitions)\n",
        "            pass\n",
        ("test_postgres.py::test_a_member_joins_while_postgresql_is_down_and_leaves_afterwards[seed-1]",),
    ),
    Mutation(
        "a stop gives a batch up that can't be written",
        CONSUMER,
        "            if finished.error is not None and not isinstance(finished.error, Stopped):",
        "            if finished.error is not None:",
        ("test_postgres.py::test_a_member_is_stopped_while_postgresql_is_down[seed-1]",),
    ),
    Mutation(
        "no call waits for PostgreSQL without end",
        "service/pkg/tx.py",
        "self.deadline if timeout is None else timeout)",
        "1e6)",
        ("test_postgres.py::test_postgresql_hangs_with_open_connections[seed-1]",),
    ),
    Mutation(
        "a connection is left after a failure that is PostgreSQL's",
        WRITES,
        "                self._transactions.close()  # or",
        "                pass  # or",
        ("test_postgres.py::test_postgresql_fails_over_to_a_read_only_server[seed-1]",),
    ),
    Mutation(
        "a full disk or a start is not an order's fault",
        TRANSLATE,
        REFUSES,
        f'{REFUSES} or state[:2] in ("53", "57")',
        (
            "test_postgres.py::test_postgresql_fails_temporarily_with[seed-1-53100]",
            "test_postgres.py::test_postgresql_fails_temporarily_with[seed-1-57P03]",
        ),
    ),
    Mutation(
        "a batch that takes too long is halved",
        INGEST,
        " and not isinstance(error, StatementTimedOut)",
        "",
        ("test_postgres.py::test_batches_take_longer_than_the_statement_timeout[seed-1]",),
    ),
    Mutation(
        "a deadlock is not an order's fault",
        TRANSLATE,
        REFUSES,
        f'{REFUSES} or state[:2] == "40"',
        ("test_postgres.py::test_another_transaction_locks_orders_in_reverse_order[seed-1]",),
    ),
    Mutation(
        "a replayed order keeps the version that it had",
        "service/handler/kafka/client/record.py",
        "        origin = read_origin(self.headers)\n",
        "        origin = None\n",
        ("test_replay.py::test_a_replay_of_dead_letters_is_killed_and_repeated[seed-1]",),
    ),
    Mutation(
        "what is held is served without asking the database",
        LOOKUP,
        "        cached = self._cache.get(uid) if self._is_cache_usable() else None\n",
        "        cached = None\n",
        ("test_api.py::test_with_postgresql_down_hits_stay_fast_and_misses_return_503[seed-1]",),
    ),
    Mutation(
        "no read waits for PostgreSQL without end",
        "service/repo/connection.py",
        "self.deadline if timeout is None else timeout)",
        "1e6)",
        ("test_api.py::test_with_postgresql_slow_hits_stay_fast_and_misses_time_out[seed-1]",),
    ),
    Mutation(
        "with each new connection of the listener a generation begins",
        LOOKUP,
        "        self._cache.clear()\n",
        "",
        ("test_api.py::test_orders_changed_while_postgresql_is_unreachable_are_current_a_second_later[seed-1]",),
    ),
    Mutation(
        "the listener soon notices that nothing comes any more",
        LISTENER,
        "        connection.deadline = self._timeout_seconds\n",
        "        connection.deadline = 60\n",
        ("test_api.py::test_orders_changed_while_notifications_are_lost_are_current_a_second_later[seed-1]",),
    ),
    Mutation(
        "the heartbeat proves that others are heard",
        LISTENER,
        "await (await notifying.execute(heartbeat.encode()",
        "await (await listening.execute(heartbeat.encode()",
        ("test_api.py::test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale[seed-1]",),
    ),
    Mutation(
        "nothing is served from memory while nothing is heard and the database can be read",
        LOOKUP,
        "        self._is_caching, self._serves_cached = False, not can_read\n",
        "",
        (
            "test_api.py::test_while_only_the_listener_is_disconnected_orders_are_at_most_a_second_stale[seed-1]",
            "test_api.py::test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale[seed-1]",
        ),
    ),
    Mutation(
        "what a standby has not replayed is not cached",
        "service/usecases/minimum_lsn.py",
        "        if read.replay_lsn is None:\n",
        "        if True:\n",
        ("test_api.py::test_reads_from_a_lagging_standby_are_not_cached[seed-1]",),
    ),
    Mutation(
        "staleness has a bound where that is asked for",
        LOOKUP,
        "        return self._serves_cached and (self._max_stale is None or",
        "        return self._serves_cached and (True or",
        ("test_api.py::test_max_stale_bounds_staleness[seed-1]",),
    ),
    Mutation(
        "connections have a limit",
        PROTOCOL,
        "        self._is_over_limit = self.connection_count > ",
        "        self._is_over_limit = False and self.connection_count > ",
        ("test_api.py::test_ten_thousand_unfinished_requests_do_not_slow_other_clients[seed-1]",),
    ),
    Mutation(
        "a request's head has a limit",
        "service/config.py",
        "    max_header_bytes: Bytes = 16 * 2**10\n",
        "    max_header_bytes: Bytes = 2**30\n",
        ("test_api.py::test_oversized_requests_are_rejected[seed-1-header]",),
    ),
    Mutation(
        "what connections hold for slow clients has a bound",
        "service/handler/http/fastpath/buffers.py",
        "        if self.size > self._max_bytes:\n",
        "        if False:\n",
        ("test_api.py::test_memory_is_bounded_when_clients_do_not_read_large_responses[seed-1-from-postgresql]",),
    ),
    Mutation(
        "an event stream that nobody reads is dropped",
        "service/handler/http/event_broadcaster.py",
        "            async with asyncio.timeout(STALL_SECONDS):\n",
        "            async with asyncio.timeout(None):\n",
        ("test_api.py::test_unread_event_streams_are_dropped_and_read_ones_receive_every_event[seed-1]",),
    ),
)


def survivors(mutation: Mutation, folder: Path) -> list[str]:
    """Return the scenarios that passed with the mutation, of the last attempt at each."""
    _replace(folder / mutation.path, mutation.old, mutation.new)
    left = list(mutation.scenarios)
    for _ in range(ATTEMPTS):
        left = _passed(folder, left) if left else left
    return left


def _passed(folder: Path, scenarios: list[str]) -> list[str]:
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "faulthandler_timeout=0"]
    ids = [f"tests/faults/{scenario}" for scenario in scenarios]
    ended = subprocess.run([*command, *ids], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    cases = {case.get("name"): case for case in ET.parse(report).iter("testcase")}  # noqa: S314 - our own report
    if len(cases) != len(scenarios):
        raise SystemExit(f"not all scenarios ran:\n{ended.stdout}\n{ended.stderr}")
    passed = []
    for scenario in scenarios:
        case = cases[scenario.partition("::")[2]]
        failure, error = case.find("failure"), case.find("error")
        if failure is None:
            passed.append(scenario)
        ended_by = "passed" if failure is None and error is None else _first_line(failure if error is None else error)
        sys.stdout.write(f"  {scenario}: {ended_by[:200]}\n")
    sys.stdout.flush()
    return passed


def _first_line(element: ET.Element | None) -> str:
    return "" if element is None else f"{element.tag}: {element.get('message') or ''}".partition("\n")[0]


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{path}: not there exactly once: {old!r}")
    path.write_text(text.replace(old, new, 1))


def _copied(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    _replace(folder / SHORT_SETTLE[0], *SHORT_SETTLE[1:])
    return folder


def main(words: list[str]) -> int:
    """Apply the mutations whose promise holds one of the words, or all."""
    rows, failed = [("without this", "in", "this fails")], 0
    for mutation in MUTATIONS:
        if words and not any(word in mutation.promise for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            left = survivors(mutation, _copied(Path(folder)))
        failed += len(left)
        noticed = [scenario for scenario in mutation.scenarios if scenario not in left]
        rows.append((mutation.promise, f"`{mutation.path}`", "<br>".join(f"`{each}`" for each in noticed)))
        result = f"NOT NOTICED BY {', '.join(left)}" if left else "noticed"
        sys.stdout.write(f"{mutation.promise}: {result}\n")
        sys.stdout.flush()
    if table := os.environ.get("ORDERS_MUTATIONS_TABLE"):
        write_into(Path(table), aligned(rows, words=3), "mutations")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
