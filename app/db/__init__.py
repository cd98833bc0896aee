"""The database: SQLite embedded or PostgreSQL, behind one `open_session`."""

from app.db.session import Database, open_session

__all__ = ["Database", "open_session"]
