"""Guarantees of offsets, versions, erasures and members."""

from typing import Final

from tests.faults.mutations.mutation import ENCODER, PIPELINE, PROPERTIES, WRITES, Mutation
from tests.faults.replace import Replacement

PROGRESS: Final = "service/handler/kafka/consumer/partitions/progress.py"
SHUTDOWN: Final = "service/handler/kafka/consumer/shutdown.py"
ERASURES: Final = "service/repo/operations/erasures.py"

MUTATIONS: Final = (
    Mutation(
        "offsets are committed only after the orders are stored",
        Replacement(
            PIPELINE,
            "BatchPipeline.submit",
            "self.worker.submit(...)",
            "offsets, client = self.builder.batch.commit_offsets, self.state._fetch._client\n"
            "unstored = [each for each in client.assignment() if (each.topic, each.partition) in offsets]\n"
            "for each in unstored:\n"
            "    each.offset = offsets[each.topic, each.partition]\n"
            "client.commit(offsets=unstored, asynchronous=False)\n"
            "...",
        ),
        (
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-after-decoding]",
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-commit]",
            "test_consumers.py::test_a_member_is_killed_at_a_failpoint[seed-1-before-dead-letters]",
            "test_exactly_once.py::test_a_member_is_killed_with_exactly_once[seed-1-after-commit]",
            "test_formats.py::test_a_member_is_killed[seed-1-avro]",
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
            "service/entities/version.py",
            "RecordCoordinates.is_newer_than",
            "_sort_key(self) > _sort_key(other)",
            "True",
        ),
        (
            "test_consumers.py::test_two_members_without_a_fault[seed-1]",
            "test_orders.py::test_a_producers_clock_steps[seed-1-timestamp]",
        ),
    ),
    Mutation(
        "the later timestamp wins across topics",
        Replacement(
            "service/entities/version.py",
            "_sort_key",
            "record.timestamp_ms, record.topic, record.partition, record.offset",
            "record.topic, record.timestamp_ms, record.partition, record.offset",
        ),
        (
            "test_several_topics.py::test_a_member_that_reads_two_topics_is_killed[seed-1-at-least-once]",
            "test_several_topics.py::test_two_topics_are_rebalanced[seed-1-classic]",
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
)
