"""The locations that partners push, as they have told them: a station keeps less than a partner may ask for, and than
a later change may build on."""

from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.dialect import upsert
from app.stations.tables import OcpiLocation

Document = dict[str, Any]


async def read_document(session: AsyncSession, external_id: str) -> Document | None:
    """`None`: there is none."""
    row = await session.get(OcpiLocation, external_id)
    return None if row is None else orjson.loads(row.document)


async def write_document(session: AsyncSession, external_id: str, document: Document) -> None:
    """Replaces the one that there is."""
    table: Any = OcpiLocation.__table__
    statement = upsert(session, table, key=("external_id",), replace=("document",))
    await session.execute(statement, [{"external_id": external_id, "document": orjson.dumps(document)}])
