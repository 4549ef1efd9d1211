"""`python -m tests.faults.mutations [WORD]...`: breaks one guarantee at a time; some scenarios must then fail.

Each mutation is applied to a copy of the repository. Exits 1 if a scenario passed in spite of its mutation.
ORDERS_MUTATIONS_TABLE=FILE writes the table into that file, between its markers. With words, only mutations whose
guarantee contains one of them are applied.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.replace import Replacement
from tests.faults.table import aligned, write_into

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("service", "generator", "migrations", "local", "tests", "docs", "pyproject.toml")
SHORT_SETTLE: Final = Replacement("tests/faults/workload.py", "", "SETTLE_SECONDS = ...", "SETTLE_SECONDS = 45.0")
"""Saves time: without a mutation a scenario settles within a few seconds."""
ATTEMPTS: Final = 3
"""Some faults hit the vulnerable moment only in most runs."""

PIPELINE: Final = "service/handler/kafka/consumer/pipeline.py"
PROGRESS: Final = "service/handler/kafka/consumer/partitions/progress.py"
SHUTDOWN: Final = "service/handler/kafka/consumer/shutdown.py"
OFFSETS: Final = "service/handler/kafka/consumer/partitions/offsets.py"
CLIENT_ERRORS: Final = "service/handler/kafka/consumer/reports/client_errors.py"
TOPIC_IDENTITY: Final = "service/handler/kafka/consumer/topic/identity.py"
PROPERTIES: Final = "service/handler/kafka/client/properties.py"
ENCODER: Final = "service/handler/kafka/dead_letters/encoder.py"
TRANSACTIONS: Final = "service/handler/kafka/dead_letters/transactional.py"
WRITES: Final = "service/repo/writer/order_store.py"
ERASURES: Final = "service/repo/operations/erasures.py"
TRANSLATE: Final = "service/repo/translate.py"
LISTENER: Final = "service/repo/listener/listener.py"
INGEST: Final = "service/usecases/ingest.py"
BREAKER: Final = "service/usecases/circuit_breaker.py"
LOOKUP: Final = "service/usecases/lookup.py"
PROTOCOL: Final = "service/handler/http/fastpath/protocol.py"


class Mutation(NamedTuple):
    """A part of the guarantee, the replacement that breaks it, and the scenarios that must then fail."""

    guarantee: str
    replacement: Replacement
    scenarios: tuple[str, ...]


MUTATIONS: Final = (
    Mutation(
        "offsets are committed only after the orders are stored",
        Replacement(
            PIPELINE,
            "BatchPipeline.submit",
            "self.worker.submit(...)",
            "offsets, client = self.builder.batch.commit_offsets, self.state._fetch._client\n"
            "unstored = [each for each in client.assignment() if each.partition in offsets]\n"
            "for each in unstored:\n"
            "    each.offset = offsets[each.partition]\n"
            "client.commit(offsets=unstored, asynchronous=False)\n"
            "...",
        ),
        (
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-decoding]",
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-commit]",
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-dead-letters]",
            "test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-after-commit]",
        ),
    ),
    Mutation(
        "the end of a partition is committed only after everything before it is stored",
        Replacement(PIPELINE, "BatchPipeline.advance_to_ends", "self._batches", "()"),
        ("test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-commit]",),
    ),
    Mutation(
        "transaction markers after the last order are committed",
        Replacement(PROGRESS, "Progress.advance_to_ends", "self._uncommitted[partition] = ...", ""),
        ("test_kafka.py::test_an_open_producer_transaction_blocks_later_orders_until_it_is[seed-1-committed]",),
    ),
    Mutation(
        "a redelivered order is recognized as stored",
        Replacement(WRITES, "PostgresOrderStore._plan", "stored_versions(cursor, newest)", "({}, set())"),
        (
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-commit]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-after-commit]",
        ),
    ),
    Mutation(
        "an erased order is not stored again",
        Replacement(
            ERASURES,
            "Erasures._erase",
            "connection.execute(INSERT_ERASED, ...)",
            "connection.execute(INSERT_ERASED, [[]])",
        ),
        ("test_erasure.py::test_orders_are_erased_while_members_write_and_one_is_killed[seed-1]",),
    ),
    Mutation(
        "an erasure waits for batches in progress",
        Replacement(
            WRITES,
            "PostgresOrderStore.store",
            "self._transactions.begin(SHARE_ERASURE_LOCK)",
            "self._transactions.begin()",
        ),
        ("test_erasure.py::test_orders_are_erased_while_members_write_and_one_is_killed[seed-1]",),
    ),
    Mutation(
        "the greater version wins",
        Replacement(
            "service/entities/version.py", "RecordCoordinates.is_newer_than", "self.version > other.version", "True"
        ),
        (
            "test_consumers.py::test_two_members_without_a_fault[seed-1]",
            "test_orders.py::test_a_producers_clock_steps[seed-1-timestamp]",
        ),
    ),
    Mutation(
        "`version.compare_by: offset` compares offsets within a partition",
        Replacement(
            "service/entities/version.py", "RecordCoordinates.is_newer_than", 'compare_by == "offset"', "False"
        ),
        ("test_orders.py::test_a_producers_clock_steps[seed-1-offset]",),
    ),
    Mutation(
        "a dead letter names its origin",
        Replacement(ENCODER, "DeadLetterEncoder._dlq_headers", "origin.offset", "... + 1"),
        ("test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-dead-letters]",),
    ),
    Mutation(
        "a dead member's partitions are reassigned after six seconds",
        Replacement(PROPERTIES, "_membership", '{"session.timeout.ms": ...}', '{"session.timeout.ms": 45_000}'),
        (
            "test_consumers.py::test_a_member_is_killed_and_restarted[seed-1]",
            "test_consumers.py::test_the_only_member_is_killed_and_restarted[seed-1]",
            "test_consumers.py::test_a_member_is_suspended_until_its_partitions_are_reassigned[seed-1]",
        ),
    ),
    Mutation(
        "the group protocol `consumer` gets no properties of the classic protocol",
        Replacement(
            PROPERTIES,
            "_membership",
            "{name: value for name, value in common(kafka).items() if name not in _CLASSIC_ONLY}",
            'common(kafka) | {"session.timeout.ms": 6_000}',
        ),
        (
            "test_consumers.py::test_a_member_is_killed_with_group_protocol_consumer[seed-1]",
            "test_consumers.py::test_a_rebalance_storm[seed-1-consumer]",
        ),
    ),
    Mutation(
        "a suspended process releases its locks",
        Replacement("service/repo/connection.py", "ConnectionSettings.begin", "round(GRACE_SECONDS * 1000)", "0"),
        ("test_consumers.py::test_a_member_is_suspended_at_a_failpoint[seed-1-before-commit]",),
    ),
    Mutation(
        "a session that stopped within a COPY is terminated by writers that wait for locks",
        Replacement(WRITES, "PostgresOrderStore.store", "error.sqlstate == LOCK_NOT_AVAILABLE", "False"),
        ("test_consumers.py::test_a_member_is_suspended_at_a_failpoint[seed-1-during-copy]",),
    ),
    Mutation(
        "on SIGTERM the running transaction is finished and committed",
        Replacement(PIPELINE, "BatchPipeline.drain", "self.worker.wait_finished(...)", '__import__("os")._exit(0)'),
        ("test_consumers.py::test_a_member_is_stopped_during_a_batch[seed-1]",),
    ),
    Mutation(
        "the log says whether the last offsets were committed",
        Replacement(SHUTDOWN, "Shutdown.drain", "self.progress.is_committed and not uncommitted", "True"),
        ("test_kafka.py::test_a_member_is_stopped_while_the_broker_is_suspended[seed-1-at-least-once]",),
    ),
    Mutation(
        "a rebalance drops only revoked partitions from the open batch",
        Replacement(
            PIPELINE,
            "BatchPipeline.revoke",
            "self.builder.batch.drop(partitions)",
            "self.builder.batch.drop(frozenset(self.builder.batch.next_offsets))",
        ),
        ("test_consumers.py::test_a_rebalance_storm[seed-1-classic]",),
    ),
    Mutation(
        "a dead letter that was not acknowledged is sent again",
        Replacement(
            "service/handler/kafka/dead_letters/producer.py", "DeadLetterProducer._send", "if failed:\n    ...", ""
        ),
        (
            "test_dead_letters.py::test_the_dead_letter_topic_is_missing[seed-1]",
            "test_dead_letters.py::test_the_dead_letter_topic_is_not_writable[seed-1]",
        ),
    ),
    Mutation(
        "a dead letter that is too large is replaced by a stub",
        Replacement(
            "service/handler/kafka/client/error_codes.py",
            "",
            "(KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)",
            "()",
        ),
        ("test_dead_letters.py::test_the_dead_letter_topic_rejects_large_messages[seed-1]",),
    ),
    Mutation(
        "the circuit breaker opens",
        Replacement(BREAKER, "CircuitBreaker.evaluate_messages", "self._count(flags)", "None"),
        ("test_dead_letters.py::test_a_flood_of_invalid_messages_passes_once_the_circuit_breaker_is_disabled[seed-1]",),
    ),
    Mutation(
        "the circuit breaker closes by itself",
        Replacement(BREAKER, "CircuitBreaker._probe", "sum(flags)", "len(flags)"),
        ("test_dead_letters.py::test_the_circuit_breaker_closes_after_a_flood_of_invalid_messages[seed-1]",),
    ),
    Mutation(
        "rejected orders are counted across batches",
        Replacement(BREAKER, "CircuitBreaker._count_orders", "self._rejected_since_stored + rejected", "rejected"),
        ("test_orders.py::test_postgresql_rejects_every_order_of_a_slow_stream[seed-1]",),
    ),
    Mutation(
        "each probe reads past the previous one",
        Replacement(
            "service/handler/kafka/consumer/breaker/breaker_control.py",
            "BreakerControl._extended_probe",
            "self._probe.add(batch, next_batch)\nself._probe.grow(self._settings.limits.messages)",
            "",
        ),
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "an order that is rejected while later ones are stored is itself to blame",
        Replacement(
            "service/usecases/batch.py",
            "Batch.is_already_probed",
            "rejected.record.offset < self.probed_offsets.get(rejected.record.partition, 0)",
            "False",
        ),
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "a probe commits nothing while orders wait",
        Replacement(INGEST, "Ingest._evaluate", "not problem and is_probe", "False"),
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "dead letters and offsets are committed in one Kafka transaction",
        Replacement(
            TRANSACTIONS,
            "TransactionalDeadLetters._commit",
            "call_within(...)",
            "_end_transaction(producer.commit_transaction)\nproducer.begin_transaction()\n...",
        ),
        ("test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-before-transaction-commit]",),
    ),
    Mutation(
        "offsets are part of that transaction",
        Replacement(TRANSACTIONS, "TransactionalDeadLetters._commit", "call_within(...)", ""),
        ("test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-after-transaction-commit]",),
    ),
    Mutation(
        "a failed transaction is aborted",
        Replacement(TRANSACTIONS, "TransactionalDeadLetters._attempt", "self._abort_or_close(producer, error)", ""),
        ("test_exactly_once.py::test_one_of_two_brokers_with_exactly_once[seed-1-is-killed]",),
    ),
    Mutation(
        "offsets are sent with the group's generation",
        Replacement(
            TRANSACTIONS,
            "TransactionalDeadLetters._commit",
            "self._group.metadata",
            "self._group.metadata and self._checks.connect().consumer_group_metadata()",
        ),
        ("test_exactly_once.py::test_a_member_is_suspended_with_exactly_once[seed-1]",),
    ),
    Mutation(
        "the generation is refreshed after each rebalance",
        Replacement(
            "service/handler/kafka/client/consumer_group.py",
            "ConsumerGroup.refresh",
            "self._is_transactional",
            "... and not self._metadata",
        ),
        ("test_exactly_once.py::test_members_join_and_leave_with_exactly_once[seed-1]",),
    ),
    Mutation(
        "a dead letter that is too large is replaced by a stub in the next transaction",
        Replacement(TRANSACTIONS, "TransactionalDeadLetters._produce", "error.code() in TOO_LARGE", "False"),
        ("test_exactly_once.py::test_dead_letters_are_too_large_with_exactly_once[seed-1]",),
    ),
    Mutation(
        "a commit without a response is looked up",
        Replacement(TRANSACTIONS, "TransactionalDeadLetters._initialize", "self._state is _State.LOST", "False"),
        ("test_exactly_once.py::test_the_response_to_a_transaction_commit_is_lost[seed-1]",),
    ),
    Mutation(
        "a broker error that the client reports is not fatal",
        Replacement(
            CLIENT_ERRORS,
            "ClientErrors.on_error",
            'self._log.warning("Kafka reports a problem", ...)',
            "self._failure.record(error)",
        ),
        (
            "test_kafka.py::test_the_broker_is_restarted[seed-1]",
            "test_kafka.py::test_the_broker_is_killed[seed-1]",
            "test_kafka.py::test_connections_to_kafka_and_postgresql_are_closed_repeatedly[seed-1]",
            "test_kafka.py::test_the_group_coordinator_moves_to_another_broker[seed-1]",
            "test_exactly_once.py::test_one_of_two_brokers_with_exactly_once[seed-1-is-restarted]",
        ),
    ),
    Mutation(
        "a fatal client error ends the process",
        Replacement(CLIENT_ERRORS, "ClientErrors.on_message_error", "self._failure.record(error)", "pass"),
        (
            "test_static_members.py::test_a_static_member_is_killed_and_restarted_at_once[seed-1-consumer]",
            "test_static_members.py::test_two_members_have_the_same_instance_id[seed-1-classic]",
            "test_static_members.py::test_two_members_have_the_same_instance_id[seed-1-consumer]",
        ),
    ),
    Mutation(
        "a failed commit is retried",
        Replacement(OFFSETS, "OffsetCommitter.on_commit", "self._log.warning(...)", "raise KafkaException(error)"),
        ("test_kafka.py::test_the_broker_is_suspended_for_longer_than_the_session_timeout[seed-1]",),
    ),
    Mutation(
        "a deleted and recreated topic is noticed",
        Replacement(TOPIC_IDENTITY, "TopicIdentity.fetch_new", "if self.exists:\n    ...", ""),
        (
            "test_topics.py::test_the_topic_is_recreated_while_a_member_is_suspended[seed-1-at-least-once]",
            "test_topics.py::test_the_topic_is_recreated_while_a_member_is_suspended[seed-1-exactly-once]",
            "test_topics.py::test_the_topic_is_deleted_and_recreated_later[seed-1-at-least-once]",
        ),
    ),
    Mutation(
        "dead letters of a recreated topic are not sent before it is read from its beginning",
        Replacement(TRANSACTIONS, "TransactionalDeadLetters._commit", "if owned:\n    ...", ""),
        ("test_topics.py::test_a_recreated_topic_is_read_before_its_id_is_looked_up[seed-1]",),
    ),
    Mutation(
        "a committed offset is valid only for the topic id in its metadata",
        Replacement("service/handler/kafka/client/topic_id.py", "TopicId.contradicts", "self.exists", "False"),
        ("test_topics.py::test_offsets_of_a_deleted_topic_are_ignored[seed-1]",),
    ),
    Mutation(
        "a half-open connection to Kafka is closed",
        Replacement(PROPERTIES, "common", '{"socket.timeout.ms": ...}', '{"socket.timeout.ms": 300_000}'),
        ("test_kafka.py::test_connections_to_the_broker_become_half_open[seed-1]",),
    ),
    Mutation(
        "a rejected batch is split until a single order is to blame",
        Replacement(INGEST, "Ingest._store_all", "len(orders) > 1", "False"),
        ("test_orders.py::test_postgresql_rejects_orders_of_a_large_batch[seed-1-1]",),
    ),
    Mutation(
        "a rejected batch is split into large parts",
        Replacement(INGEST, "split_around", "if index is None:\n    ...", "return [[order] for order in orders]"),
        ("test_orders.py::test_postgresql_rejects_orders_of_a_large_batch[seed-1-500-consecutive]",),
    ),
    Mutation(
        "a batch has a maximum of messages",
        Replacement("service/usecases/batch.py", "Batch.must_submit", "len(self) >= limits.messages", "False"),
        ("test_orders.py::test_a_large_backlog_is_processed_within_256_mib[seed-1]",),
    ),
    Mutation(
        "a batch has a maximum of bytes",
        Replacement("service/usecases/batch.py", "Batch.must_submit", "self.bytes >= limits.bytes", "False"),
        ("test_orders.py::test_orders_of_1_mib_are_processed_within_256_mib[seed-1]",),
    ),
    Mutation(
        "a write that failed because PostgreSQL was unreachable is retried",
        Replacement(INGEST, "_is_unavailable", "isinstance(error, StorageUnavailable)", "False"),
        (
            "test_postgres.py::test_postgresql_is_killed_twice[seed-1]",
            "test_postgres.py::test_postgresql_is_restarted[seed-1]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-during-copy]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-before-commit]",
        ),
    ),
    Mutation(
        "polling continues during an outage",
        Replacement(
            "service/handler/kafka/consumer/reader.py",
            "Reader._wait_for_write",
            "self.worker.wait_finished(...)",
            "self.worker.wait_finished(1e6)",
        ),
        ("test_postgres.py::test_postgresql_is_down_for_longer_than_max_poll_interval[seed-1]",),
    ),
    Mutation(
        "a partition that was paused when it was revoked is resumed when it is reassigned",
        Replacement("service/handler/kafka/consumer/fetch.py", "FetchControl.apply", "self._client.resume(...)", ""),
        ("test_postgres.py::test_a_member_joins_while_postgresql_is_down_and_leaves_afterwards[seed-1]",),
    ),
    Mutation(
        "shutdown abandons a batch that cannot be written",
        Replacement(
            PIPELINE,
            "BatchPipeline._on_batch_done",
            "not isinstance(finished.error, Stopped)",
            "True",
        ),
        ("test_postgres.py::test_a_member_is_stopped_while_postgresql_is_down[seed-1]",),
    ),
    Mutation(
        "every write to PostgreSQL has a deadline",
        Replacement(
            "service/repo/connection.py",
            "BoundedConnection.wait",
            "self.call_timeout if timeout is None else timeout",
            "1e6",
        ),
        ("test_postgres.py::test_postgresql_hangs_with_open_connections[seed-1]",),
    ),
    Mutation(
        "a connection is closed after a failure of PostgreSQL",
        Replacement(WRITES, "PostgresOrderStore.store", "self._transactions.close()", ""),
        ("test_postgres.py::test_postgresql_fails_over_to_a_read_only_server[seed-1]",),
    ),
    Mutation(
        "a full disk or a starting server is not the order's fault",
        Replacement(TRANSLATE, "_rejects_data", "state in _REJECTIONS", '... or state[:2] in ("53", "57")'),
        (
            "test_postgres.py::test_postgresql_fails_temporarily_with[seed-1-53100]",
            "test_postgres.py::test_postgresql_fails_temporarily_with[seed-1-57P03]",
        ),
    ),
    Mutation(
        "a batch that times out is split in half",
        Replacement(
            INGEST,
            "_is_unavailable",
            "isinstance(error, StorageUnavailable)",
            "isinstance(error, (StorageUnavailable, StatementTimedOut))",
        ),
        ("test_postgres.py::test_batches_take_longer_than_the_statement_timeout[seed-1]",),
    ),
    Mutation(
        "a deadlock is not the order's fault",
        Replacement(TRANSLATE, "_rejects_data", "state in _REJECTIONS", '... or state[:2] == "40"'),
        ("test_postgres.py::test_another_transaction_locks_orders_in_reverse_order[seed-1]",),
    ),
    Mutation(
        "a replayed order keeps its original version",
        Replacement("service/entities/record.py", "Record.source", "read_origin(self.headers)", "None"),
        ("test_replay.py::test_a_replay_of_dead_letters_is_killed_and_repeated[seed-1]",),
    ),
    Mutation(
        "a cached order is served without a query",
        Replacement(LOOKUP, "Lookup.cached", "self._cache.get(uid)", "None"),
        ("test_api.py::test_with_postgresql_down_hits_stay_fast_and_misses_return_503[seed-1]",),
    ),
    Mutation(
        "every read from PostgreSQL has a deadline",
        Replacement(
            "service/repo/connection.py",
            "BoundedAsyncConnection.wait",
            "self.call_timeout if timeout is None else timeout",
            "1e6",
        ),
        ("test_api.py::test_with_postgresql_slow_hits_stay_fast_and_misses_time_out[seed-1]",),
    ),
    Mutation(
        "the cache is cleared when the listener reconnects",
        Replacement(LOOKUP, "Lookup._clear", "self._cache.clear()", ""),
        ("test_api.py::test_orders_changed_while_postgresql_is_unreachable_are_current_a_second_later[seed-1]",),
    ),
    Mutation(
        "the listener notices a half-open connection",
        Replacement(LISTENER, "Listener._connect", "connection.call_timeout = ...", "connection.call_timeout = 60"),
        ("test_api.py::test_orders_changed_while_notifications_are_lost_are_current_a_second_later[seed-1]",),
    ),
    Mutation(
        "the heartbeat comes from another connection",
        Replacement(LISTENER, "Listener._beat", "notifying.execute", "listening.execute"),
        ("test_api.py::test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale[seed-1]",),
    ),
    Mutation(
        "without notifications the cache is bypassed while PostgreSQL can be read",
        Replacement(LOOKUP, "Lookup.suspend_caching", "self._use = ...", ""),
        (
            "test_api.py::test_while_only_the_listener_is_disconnected_orders_are_at_most_a_second_stale[seed-1]",
            "test_api.py::test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale[seed-1]",
        ),
    ),
    Mutation(
        "changes that a standby has not replayed are not cached",
        Replacement("service/usecases/minimum_lsn.py", "MinimumLsn.allows", "replay_lsn is None", "True"),
        ("test_api.py::test_reads_from_a_lagging_standby_are_not_cached[seed-1]",),
    ),
    Mutation(
        "`cache.max_stale` bounds staleness",
        Replacement(LOOKUP, "Lookup._is_cache_usable", "self._max_stale is None", "True"),
        ("test_api.py::test_max_stale_bounds_staleness[seed-1]",),
    ),
    Mutation(
        "the number of connections is limited",
        Replacement(
            PROTOCOL, "LimitedProtocol.connection_made", "self.connection_count > self._limits.max_connections", "False"
        ),
        ("test_api.py::test_ten_thousand_unfinished_requests_do_not_slow_other_clients[seed-1]",),
    ),
    Mutation(
        "the size of a request's headers is limited",
        Replacement(
            "service/config/settings.py",
            "HttpSettings",
            "max_header_bytes: Bytes = ...",
            "max_header_bytes: Bytes = 2**30",
        ),
        ("test_api.py::test_oversized_requests_are_rejected[seed-1-header]",),
    ),
    Mutation(
        "memory held for slow clients is limited",
        Replacement(
            "service/handler/http/fastpath/buffers.py", "BufferBudget.update", "self.size > self._max_bytes", "False"
        ),
        ("test_api.py::test_memory_is_bounded_when_clients_do_not_read_large_responses[seed-1-from-postgresql]",),
    ),
    Mutation(
        "an event stream that its client does not read is dropped",
        Replacement(
            "service/handler/http/event_broadcaster.py",
            "EventStream._send_chunk",
            "asyncio.timeout(...)",
            "asyncio.timeout(None)",
        ),
        ("test_api.py::test_unread_event_streams_are_dropped_and_read_ones_receive_every_event[seed-1]",),
    ),
)


def survivors(mutation: Mutation, folder: Path) -> list[str]:
    """Return the scenarios that passed all attempts in spite of the mutation."""
    mutation.replacement.apply(folder)
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


def _copied(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    SHORT_SETTLE.apply(folder)
    return folder


def main(words: list[str]) -> int:
    rows, failed = [("without this", "in", "this fails")], 0
    for mutation in MUTATIONS:
        if words and not any(word in mutation.guarantee for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            survived = survivors(mutation, _copied(Path(folder)))
        failed += len(survived)
        killing = [scenario for scenario in mutation.scenarios if scenario not in survived]
        place = f"`{mutation.replacement.path}` {_code(mutation.replacement.function)}".strip()
        rows.append((mutation.guarantee, place, "<br>".join(map(_code, killing))))
        result = f"SURVIVED {', '.join(survived)}" if survived else "killed"
        sys.stdout.write(f"{mutation.guarantee}: {result}\n")
        sys.stdout.flush()
    if table := os.environ.get("ORDERS_MUTATIONS_TABLE"):
        write_into(Path(table), aligned(rows, words=3), "mutations")
    return 1 if failed else 0


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
