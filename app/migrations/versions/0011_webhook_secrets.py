"""Let a webhook's former secret sign for a while beside the new one"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("former_secret", sa.Text()))
    op.add_column("webhooks", sa.Column("former_until", sa.DateTime(timezone=True)))
