"""The packages that are mutated, and the tests and simulations that must detect it."""

from typing import Final, NamedTuple


class Package(NamedTuple):
    """A folder with all folders in it, and its tests: folders, files and node ids of pytest."""

    path: str
    tests: tuple[str, ...]

    @property
    def needs_postgres(self) -> bool:
        return any(test.startswith(_INTEGRATION) for test in self.tests)


_INTEGRATION: Final = "tests/integration/"
_DEAD_LETTERS: Final = ("tests/unit/handler/kafka/dead_letters", "tests/unit/handler/kafka/test_ports.py")
_CONSUMER: Final = "tests/simulation/test_simulation.py::test_no_schedule_of_faults_breaks_a_guarantee[0]"
_API: Final = "tests/simulation/api/test_api_simulation.py::test_no_schedule_of_faults_breaks_a_guarantee[0]"
_WRITES: Final = tuple(
    f"{_INTEGRATION}test_{test}"
    for test in (
        "ids.py",
        "order_history.py",
        "order_store.py::test_a_batch_may_contain_all_outcomes",
        "order_store.py::test_the_greatest_version_in_a_batch_wins_in_any_order",
        "writes.py::test_any_text_survives_an_insert_and_a_replacement",
        "writes.py::test_versions_can_be_compared_by_offset_before_timestamp",
        "writes.py::test_a_replacement_removes_all_rows_of_the_earlier_version",
        "writes.py::test_rows_deleted_manually_are_restored_by_the_next_version",
        "writes.py::test_a_stored_document_that_violates_a_newer_rule_is_replaced",
        "writes.py::test_only_new_and_changed_orders_are_notified",
        "writes.py::test_notifications_have_the_times_and_versions_that_are_stored",
        "failed_writes.py::test_a_rejected_new_order_is_identified",
        "failed_writes.py::test_a_rejected_replacement_is_identified",
        "failed_writes.py::test_every_error_but_a_rejection_ends_the_connection",
        "concurrent_writes.py::test_an_order_that_another_writer_changes_during_its_update_is_compared_again_on_retry",
        "expired_orders.py::test_the_age_at_the_time_of_writing_counts",
        "expired_orders.py::test_a_stored_order_is_replaced_whatever_its_age",
        "expired_orders.py::test_an_erased_order_counts_as_erased_whatever_its_age",
    )
)
_READS: Final = tuple(
    f"{_INTEGRATION}test_{name}.py" for name in ("order_reader", "bulk_reads", "reader_failures", "order_history")
)
PACKAGES: Final = (
    Package("service/usecases", ("tests/unit/usecases",)),
    Package("service/pkg", ("tests/unit/pkg",)),
    Package("service/repo/writer", ("tests/unit/repo", *_WRITES)),
    Package("service/repo/listener", ("tests/unit/repo", _API)),
    Package("service/repo/reader", ("tests/unit/repo", _API, *_READS)),
    Package("service/handler/kafka/consumer", ("tests/unit/handler/kafka/consumer", _CONSUMER)),
    Package("service/handler/kafka/dead_letters", (*_DEAD_LETTERS, _CONSUMER)),
    Package("service/handler/kafka/client", ("tests/unit/handler/kafka", _CONSUMER)),
)
