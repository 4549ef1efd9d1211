"""Guarantees of dead letters, of the circuit breaker, and of exactly-once dead letters."""

from typing import Final

from tests.faults.mutations.mutation import TRANSACTIONS, Mutation
from tests.faults.replace import Replacement

BREAKER: Final = "service/usecases/circuit_breaker.py"
INGEST: Final = "service/usecases/ingest.py"

MUTATIONS: Final = (
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
            "service/handler/kafka/consumer/flow_control/breaker_control.py",
            "BreakerControl._extended_probe",
            "self._probe.add(batch, next_batch)\nself._probe.grow(self._limits.messages)",
            "",
        ),
        ("test_orders.py::test_orders_are_stored_behind_orders_that_postgresql_always_rejects[seed-1]",),
    ),
    Mutation(
        "an order that is rejected while later ones are stored is itself to blame",
        Replacement(
            "service/usecases/batch.py",
            "Batch.is_already_probed",
            "rejected.record.offset < self.probed_offsets.get(rejected.record.topic_partition, 0)",
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
            "self.is_transactional",
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
)
