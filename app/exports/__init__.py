"""The catalogue, or a part of it, as a file."""

from app.exports.files import ExportSpaceError, check_free_space, expires_at, export_folder, remove_expired
from app.exports.formats import MEDIA_TYPES
from app.exports.job import export_large_dataset
from app.exports.request import ExportFormat, ExportRequest, ExportRequestError

__all__ = [
    "MEDIA_TYPES",
    "ExportFormat",
    "ExportRequest",
    "ExportRequestError",
    "ExportSpaceError",
    "check_free_space",
    "expires_at",
    "export_folder",
    "export_large_dataset",
    "remove_expired",
]
