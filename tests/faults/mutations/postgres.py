"""Guarantees of batches, and while PostgreSQL fails."""

from typing import Final

from tests.faults.mutations.mutation import PIPELINE, WRITES, Mutation
from tests.faults.replace import Replacement

STORE_BATCH: Final = "service/usecases/store_batch.py"
TRANSLATE: Final = "service/repo/translate.py"

MUTATIONS: Final = (
    Mutation(
        "a rejected batch is split until a single order is to blame",
        Replacement(STORE_BATCH, "StoreBatch._store_or_split", "len(orders) > 1", "False"),
        ("test_orders.py::test_postgresql_rejects_orders_of_a_large_batch[seed-1-1]",),
    ),
    Mutation(
        "a rejected batch is split into large parts",
        Replacement(STORE_BATCH, "split_around", "if index is None:\n    ...", "return [[order] for order in orders]"),
        ("test_orders.py::test_postgresql_rejects_orders_of_a_large_batch[seed-1-500-consecutive]",),
    ),
    Mutation(
        "an order that causes an internal error of PostgreSQL is named",
        Replacement(
            "service/usecases/bisection.py",
            "BisectingStore._find",
            "orders[:middle] if ... else orders[middle:]",
            "orders[:middle]",
        ),
        ("test_orders.py::test_postgresql_fails_with_an_internal_error_on_one_order[seed-1]",),
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
        Replacement(STORE_BATCH, "_is_unavailable", "isinstance(error, StorageUnavailable)", "False"),
        (
            "test_postgres.py::test_postgresql_is_killed_twice[seed-1]",
            "test_postgres.py::test_postgresql_is_restarted[seed-1]",
            "test_formats.py::test_postgresql_is_restarted[seed-1-avro]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-during-copy]",
            "test_postgres.py::test_the_connection_to_postgresql_is_reset[seed-1-before-commit]",
        ),
    ),
    Mutation(
        "polling continues during an outage",
        Replacement(
            "service/handler/kafka/consumer/state_actions.py",
            "StateActions._wait_for_write",
            "self.worker.wait_finished(...)",
            "self.worker.wait_finished(1e6)",
        ),
        ("test_postgres.py::test_postgresql_is_down_for_longer_than_max_poll_interval[seed-1]",),
    ),
    Mutation(
        "a partition that was paused when it was revoked is resumed when it is reassigned",
        Replacement(
            "service/handler/kafka/consumer/flow_control/fetch.py", "FetchControl.apply", "self._client.resume(...)", ""
        ),
        ("test_postgres.py::test_a_member_joins_while_postgresql_is_down_and_leaves_afterwards[seed-1]",),
    ),
    Mutation(
        "shutdown abandons a batch that cannot be written",
        Replacement(
            PIPELINE,
            "BatchPipeline._on_result",
            "not isinstance(result.error, Stopped)",
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
        Replacement(TRANSLATE, "_rejects_data", "state[:2] in _REJECTIONS", '... or state[:2] in ("53", "57")'),
        (
            "test_postgres.py::test_postgresql_fails_temporarily_with[seed-1-53100]",
            "test_postgres.py::test_postgresql_fails_temporarily_with[seed-1-57P03]",
        ),
    ),
    Mutation(
        "a batch that times out is split in half",
        Replacement(
            STORE_BATCH,
            "_is_unavailable",
            "isinstance(error, StorageUnavailable)",
            "isinstance(error, (StorageUnavailable, StatementTimedOut))",
        ),
        ("test_postgres.py::test_batches_take_longer_than_the_statement_timeout[seed-1]",),
    ),
    Mutation(
        "a deadlock is not the order's fault",
        Replacement(TRANSLATE, "_rejects_data", "state[:2] in _REJECTIONS", '... or state[:2] == "40"'),
        ("test_postgres.py::test_another_transaction_locks_orders_in_reverse_order[seed-1]",),
    ),
    Mutation(
        "a replayed order keeps its original version",
        Replacement("service/entities/record.py", "Record.source", "read_origin(self.headers)", "None"),
        ("test_replay.py::test_a_replay_of_dead_letters_is_killed_and_repeated[seed-1]",),
    ),
)
