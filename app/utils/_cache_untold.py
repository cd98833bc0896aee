"""Tags that were dropped while Redis could not be told of it."""

from collections.abc import Iterable, Mapping

_MOST = 10_000


class Untold:
    """Bounded: of more than 10,000 tags it is forgotten which they were, and None stands for all there are.

    Safe in threads: while there is anything to tell, it is never empty for a moment.
    """

    def __init__(self) -> None:
        self._drops: dict[str | None, object] = {}

    def __bool__(self) -> bool:
        return bool(self._drops)

    def add(self, tags: Iterable[str]) -> None:
        if None not in self._drops:
            self._drops.update(dict.fromkeys(tags, object()))
            if len(self._drops) <= _MOST:
                return
        self._drops[None] = object()  # anew, as this drop may come while those before are told
        for tag in [tag for tag in list(self._drops) if tag is not None]:
            self._drops.pop(tag, None)

    def now(self) -> Mapping[str | None, object]:
        """Each tag, with the drop that is to be told."""
        return dict(self._drops)

    def told(self, drops: Mapping[str | None, object]) -> None:
        """What was dropped once more meanwhile stays."""
        for tag, drop in drops.items():
            if self._drops.get(tag) is drop:
                self._drops.pop(tag, None)
