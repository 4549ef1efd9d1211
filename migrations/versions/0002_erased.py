"""The orders that were erased and must not come back."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from migrations.rights import withhold

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    op.create_table(
        "erased",
        sa.Column("order_uid_hash", sa.LargeBinary),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("order_uid_hash", name="erased_pkey"),
    )
    withhold("erased", "INSERT", "UPDATE", "DELETE")
