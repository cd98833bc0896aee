"""When two spellings of an EVSE's public id mean the same one."""

SEPARATORS = "*- "
"""They stand in an id for the eye and mean nothing (ISO 15118-2, Annex H): `DE*AB7*E840` is `DEAB7E840`."""
_FOLDED = {ord(character): None for character in SEPARATORS} | {n: n - 32 for n in range(ord("a"), ord("z") + 1)}


def key_of(evse_id: str) -> str:
    """What all spellings of an id have in common; empty for one of separators only, which names nothing.

    The triggers of migration 0007 do the same in SQL, so only ASCII letters are folded.
    """
    return evse_id.translate(_FOLDED)
