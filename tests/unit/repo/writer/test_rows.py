"""Orders as lines for COPY. That PostgreSQL reads back what was written is tests/integration/test_writes.py."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from service.entities.version import RecordCoordinates
from service.pkg.timestamps import from_milliseconds
from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS, TABLES, TableColumns
from service.repo.columns import SOURCE as SOURCE_COLUMNS
from service.repo.schema import tables
from service.repo.writer.rows import (
    _is_plain_text,
    blocks,
    copy_rows,
    copy_statement,
    line_columns,
    order_key,
)
from tests.kit.factories import SAMPLE, order

ITEM = SAMPLE["items"][0]
SOURCE = RecordCoordinates(1_637_907_739_123, 2, 42, "orders")

COPIED = {table.name: table for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS)}


def columns(line: str) -> list[str]:
    assert line.endswith("\n")
    return line[:-1].split("\t")


def test_the_lines_of_the_sample_have_the_columns_that_copy_names() -> None:
    sample = order(order_uid="b563feb7b2b84b6test")
    made = copy_rows(sample, SOURCE)
    for name, (_, line) in made._asdict().items():
        assert len(columns(order_key(7, "b563feb7b2b84b6test") + line)) == len(line_columns(COPIED[name]))
    fields = [str(getattr(sample, name)) for name in ORDERS.columns[: -len(SOURCE_COLUMNS)]]
    assert len({*fields}) == len(fields), "the test would not notice that two fields are swapped"
    assert columns(made.orders[1]) == [*fields, "orders", "2", "42", "2021-11-26 06:22:19.123000+00:00"]
    assert columns(made.items[1])[:2] == ["0", "9934930"]


def test_the_key_is_the_id_and_the_shard() -> None:
    assert order_key(12_345, "b563feb7b2b84b6test") == "12345\t520\t"


def test_the_key_begins_each_line() -> None:
    made = copy_rows(order(items=[ITEM | {"name": name} for name in ("a\nb", "\n", "c")]), SOURCE)
    with_key = "7\t520\t".join(made.items).splitlines(keepends=True)
    assert with_key == [f"7\t520\t{line}" for line in made.items[1:]]
    assert len(with_key) == 3


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_key_of_a_table_is_its_primary_key(table: TableColumns) -> None:
    assert table.key == tuple(column.name for column in tables.metadata.tables[table.name].primary_key)


@pytest.mark.parametrize("name", COPIED)
def test_a_line_has_all_columns_but_those_that_the_server_fills_in(name: str) -> None:
    declared = tables.metadata.tables[name].columns
    filled_in = {column.name for column in declared if column.server_default is not None} - {"id"}
    assert set(line_columns(COPIED[name])) == {*declared.keys()} - filled_in


def test_copy_names_the_columns() -> None:
    assert copy_statement(DELIVERIES) == (
        "COPY deliveries (order_id, shard, name, phone, zip, city, address, region, email) FROM STDIN"
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\t", r"\t"),
        ("\n", r"\n"),
        ("\r", r"\r"),
        ("\\", r"\\"),
        ("\\N", r"\\N"),
        ("\\.", r"\\."),
        ("a\tb\\c\nd\re", r"a\tb\\c\nd\re"),
        ("\x0b\x0c\x85\u2028\u2029\x7f", "\x0b\x0c\x85\u2028\u2029\x7f"),
        ("🧘🏽 'quoted' \"twice\", {a,b} NULL", "🧘🏽 'quoted' \"twice\", {a,b} NULL"),
    ],
)
def test_special_characters_are_escaped(text: str, escaped: str) -> None:
    made = copy_rows(order(order_uid="a", delivery={"name": text}), SOURCE)
    assert made.deliveries == (
        "",
        f"{escaped}\t+9720000000\t2639809\tKiryat Mozkin\tPloshad Mira 15\tKraiot\ttest@gmail.com\n",
    )


def test_an_absent_text_is_null_and_an_empty_one_is_empty() -> None:
    empty = order(internal_signature="")
    absent = replace(empty, internal_signature=None)
    for is_plain_text in (False, True):
        assert columns(copy_rows(empty, SOURCE, is_plain_text=is_plain_text).orders[1])[4] == ""
        assert columns(copy_rows(absent, SOURCE, is_plain_text=is_plain_text).orders[1])[4] == r"\N"


def test_a_payment_without_a_request_id_keeps_its_zeros() -> None:
    made = copy_rows(order(payment={"request_id": None, "custom_fee": 0}), SOURCE)
    values = dict(zip(line_columns(PAYMENTS)[2:], columns(made.payments[1]), strict=True))
    assert [values[name] for name in ("request_id", "custom_fee")] == [r"\N", "0"]


def test_without_escaping_the_lines_are_the_same() -> None:
    assert copy_rows(order(order_uid="a"), SOURCE, is_plain_text=True) == copy_rows(order(order_uid="a"), SOURCE)


@pytest.mark.parametrize(("line", "is_plain"), [("a\tb\n", True), *((f"a{each}\tb\n", False) for each in "\\\t\n\r")])
def test_only_a_line_with_a_character_that_copy_escapes_is_built_again(*, line: str, is_plain: bool) -> None:
    assert _is_plain_text(line, values=2) == is_plain


def test_items_are_numbered_from_0() -> None:
    made = copy_rows(order(items=[ITEM | {"rid": rid} for rid in ("a", "b", "c")]), SOURCE)
    assert [(columns(line)[0], columns(line)[4]) for line in made.items[1:]] == [
        ("0", "a"),
        ("1", "b"),
        ("2", "c"),
    ]


@pytest.mark.parametrize("timestamp_ms", [0, 1, 1_637_907_739_123, 253_402_300_799_999])
def test_the_time_of_a_record_is_exact_to_the_millisecond(timestamp_ms: int) -> None:
    moment = from_milliseconds(timestamp_ms)
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == timestamp_ms


def test_blocks_contain_all_lines_in_order_and_only_the_last_is_small() -> None:
    texts = [f"{number}-ü\n" for number in range(1_000)]
    made = list(blocks(texts, size=100))
    assert b"".join(made).decode() == "".join(texts)
    assert all(len(block) >= 100 for block in made[:-1])
    assert max(map(len, made)) < 150


def test_a_block_ends_with_the_line_that_reaches_its_size() -> None:
    assert list(blocks("abcdefghij", size=4)) == [b"abcd", b"efgh", b"ij"]


def test_no_lines_make_no_block() -> None:
    assert list(blocks([])) == []
