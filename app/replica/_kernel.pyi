from typing import Any

from numpy.typing import NDArray

def build(points: NDArray[Any], axes: NDArray[Any], /) -> None: ...
def summarise(traits: NDArray[Any], below: NDArray[Any], /) -> None: ...
def nearest(
    tree: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    points: NDArray[Any],
    columns: tuple[NDArray[Any], ...],
    texts: list[bytes],
    query: bytes,
    text: bytes,
    /,
) -> tuple[bytes, int, bool]: ...
def join(fragments: list[bytes], page: bytes, /) -> bytes: ...
