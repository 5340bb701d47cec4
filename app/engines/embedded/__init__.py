"""The embedded engine: one process, one SQLite file."""

from app.engines.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
