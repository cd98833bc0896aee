"""API keys: who may write."""

from app.auth.key_ring import Key, KeyRing
from app.auth.scopes import Scope
from app.auth.token import is_key

__all__ = ["Key", "KeyRing", "Scope", "is_key"]
