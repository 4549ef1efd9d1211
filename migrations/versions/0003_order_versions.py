"""Create the table of the replaced versions of orders."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from migrations.rights import revoke

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    op.create_table(
        "order_versions",
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("source_topic", sa.String(249), nullable=False),
        sa.Column("source_partition", sa.Integer, nullable=False),
        sa.Column("source_offset", sa.BigInteger, nullable=False),
        sa.Column("source_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_fields", sa.ARRAY(sa.Text)),
        sa.PrimaryKeyConstraint("order_id", "number", "shard", name="order_versions_pkey"),
        sa.ForeignKeyConstraint(
            ["order_id", "shard"],
            ["orders.id", "orders.shard"],
            name="order_versions_order_id_shard_fkey",
            ondelete="CASCADE",
        ),
    )
    revoke("order_versions", "UPDATE")
