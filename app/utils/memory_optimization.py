"""Keeping memory small and known: load late, use again, read in pieces, write in pieces, and watch what is used."""

from app.utils._insert_buffer import BulkInsertBuffer
from app.utils._lazy import LazyLoader
from app.utils._memory_monitor import MemoryMonitor, MemorySettings, MemoryUsage
from app.utils._pool import MemoryPool
from app.utils._streaming import StreamingProcessor

__all__ = [
    "BulkInsertBuffer",
    "LazyLoader",
    "MemoryMonitor",
    "MemoryPool",
    "MemorySettings",
    "MemoryUsage",
    "StreamingProcessor",
]
