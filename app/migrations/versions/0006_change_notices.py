"""Tell those who listen that there are new lines in the change feed"""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return  # SQLite counts its commits in shared memory
    op.execute(
        """
        CREATE FUNCTION changes_told() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('voltway_changes', '');
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER changes_are_told AFTER INSERT ON changes
        FOR EACH STATEMENT EXECUTE FUNCTION changes_told()
        """
    )
