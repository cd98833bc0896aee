"""Documents that are nearly right."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st


@st.composite
def mutated(draw: st.DrawFn, document: Any, words: list[str]) -> Any:
    """The JSON document with up to three of its members replaced by one of the words or by anything else."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(words)
    anything = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=4,
    )
    document = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        holder = document
        while True:
            key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder)))))
            inner = holder[key]
            if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 9)) == 0:
                holder[key] = draw(anything)
                break
            holder = inner
    return document
