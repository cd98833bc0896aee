"""API keys: who may write."""

from app.auth.key_ring import Key, KeyRing
from app.auth.scopes import Scope

__all__ = ["Key", "KeyRing", "Scope"]
