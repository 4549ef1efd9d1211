"""${message}."""

from typing import Final

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision: Final = "${up_revision}"
down_revision: Final = "${down_revision}"


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
