"""Create the table of erased orders, which must not be stored again."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from migrations.rights import revoke

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    op.create_table(
        "erased",
        sa.Column("order_uid_hash", sa.LargeBinary),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("order_uid_hash", name="erased_pkey"),
    )
    revoke("erased", "INSERT", "UPDATE", "DELETE")
