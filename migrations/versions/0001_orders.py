"""Create the four tables of an order, and the table of schema release numbers."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateSequence

from migrations.rights import revoke

revision: Final = "0001"
down_revision: Final = None


def upgrade() -> None:
    op.create_table(
        "schema_releases",
        sa.Column("number", sa.Integer, autoincrement=False),
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("number", name="schema_releases_pkey"),
    )
    create_orders()
    create_deliveries()
    create_payments()
    create_items()
    revoke_unused_privileges()


def create_orders() -> None:
    op.execute(CreateSequence(sa.Sequence("orders_id_seq", increment=1_000)))
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger, nullable=False, server_default=sa.text("nextval('orders_id_seq')")),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("order_uid", sa.String(64, collation="C"), nullable=False),
        sa.Column("track_number", sa.String(255), nullable=False),
        sa.Column("entry", sa.String(255), nullable=False),
        sa.Column("locale", sa.String(255), nullable=False),
        sa.Column("internal_signature", sa.String(1024)),
        sa.Column("customer_id", sa.String(255), nullable=False),
        sa.Column("delivery_service", sa.String(255), nullable=False),
        sa.Column("shardkey", sa.String(255), nullable=False),
        sa.Column("sm_id", sa.BigInteger, nullable=False),
        sa.Column("date_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("oof_shard", sa.String(255), nullable=False),
        sa.Column("source_topic", sa.String(249), nullable=False),
        sa.Column("source_partition", sa.Integer, nullable=False),
        sa.Column("source_offset", sa.BigInteger, nullable=False),
        sa.Column("source_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", "shard", name="orders_pkey"),
        sa.UniqueConstraint("order_uid", "shard", name="orders_order_uid_shard_key"),
    )
    op.create_index("orders_newest_idx", "orders", ["date_created"])
    op.create_index("orders_customer_idx", "orders", ["customer_id", "date_created"])
    op.create_index("orders_track_idx", "orders", ["track_number", "date_created"])


def create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("name", sa.String(1024), nullable=False),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("zip", sa.String(255), nullable=False),
        sa.Column("city", sa.String(255), nullable=False),
        sa.Column("address", sa.String(1024), nullable=False),
        sa.Column("region", sa.String(255), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "shard", name="deliveries_pkey"),
        order_foreign_key("deliveries"),
    )


def create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("transaction", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(1024)),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("provider", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("payment_dt", sa.BigInteger, nullable=False),
        sa.Column("bank", sa.String(255), nullable=False),
        sa.Column("delivery_cost", sa.BigInteger, nullable=False),
        sa.Column("goods_total", sa.BigInteger, nullable=False),
        sa.Column("custom_fee", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "shard", name="payments_pkey"),
        order_foreign_key("payments"),
    )


def create_items() -> None:
    op.create_table(
        "items",
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("chrt_id", sa.BigInteger, nullable=False),
        sa.Column("track_number", sa.String(255), nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("rid", sa.String(255), nullable=False),
        sa.Column("name", sa.String(1024), nullable=False),
        sa.Column("sale", sa.SmallInteger, nullable=False),
        sa.Column("size", sa.String(255), nullable=False),
        sa.Column("total_price", sa.BigInteger, nullable=False),
        sa.Column("nm_id", sa.BigInteger, nullable=False),
        sa.Column("brand", sa.String(255), nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "position", "shard", name="items_pkey"),
        order_foreign_key("items"),
    )


def revoke_unused_privileges() -> None:
    """Let the consumer update orders and replace their child rows only; release numbers belong to migrations."""
    revoke("orders", "DELETE")
    for table in ("deliveries", "payments", "items"):
        revoke(table, "UPDATE")
    for table in ("alembic_version", "schema_releases"):
        revoke(table, "INSERT", "UPDATE", "DELETE")


def order_foreign_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["order_id", "shard"], ["orders.id", "orders.shard"], name=f"{table}_order_id_shard_fkey", ondelete="CASCADE"
    )
