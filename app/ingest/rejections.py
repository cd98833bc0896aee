"""The list of records that an import refused, for whoever can mend them."""

import csv
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from app.errors import ConfigurationError
from app.sources.records import Rejection

COLUMNS = ("line", "record", "external_id", "field", "value", "reason", "why", "fix")


class RejectionsFile:
    """A CSV file that comes into being with the first rejection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    @property
    def written(self) -> bool:
        return self._file is not None

    def write(self, rejection: Rejection) -> None:
        if self._file is None:
            self._file = self._open()
            csv.writer(self._file).writerow(COLUMNS)
        at = rejection.position
        csv.writer(self._file).writerow(
            [
                at.line,
                at.record,
                rejection.external_id,
                rejection.field,
                rejection.value,
                rejection.reason,
                rejection.why,
                rejection.fix,
            ]
        )

    def _open(self) -> TextIO:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be written: {error.strerror}. Is DATA_DIR right?"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
