from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS, SOURCE, TABLES
from service.repo.schema.tables import metadata, schema_releases


def test_a_column_is_a_field_that_is_not_a_document_itself() -> None:
    assert ORDERS.columns[:2] == ("order_uid", "track_number")
    assert ORDERS.columns[-4:] == SOURCE
    assert not {"delivery", "payment", "items"} & {*ORDERS.columns}


def test_only_orders_have_the_order_uid() -> None:
    assert [table.name for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS) if "order_uid" in table.columns] == ["orders"]


def test_optional_fields_are_nullable_columns() -> None:
    assert "internal_signature" in ORDERS.optional
    assert "request_id" in PAYMENTS.optional
    assert "oof_shard" not in ORDERS.optional


def test_the_columns_of_all_tables_differ_from_their_keys() -> None:
    assert [table.name for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS) if {*table.key} & {*table.columns}] == []


def test_the_keys_of_all_tables_that_consumers_write_are_known() -> None:
    written = [table for table in metadata.sorted_tables if table is not schema_releases]
    assert {table.name: {*table.key} for table in TABLES} == {
        table.name: {*table.primary_key.columns.keys()} for table in written
    }
