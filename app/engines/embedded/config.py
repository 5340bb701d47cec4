"""How the embedded engine is set up."""

from dataclasses import dataclass
from pathlib import Path

from app.engines.embedded.writer import MakeWriter, Writer
from app.jobs.config import EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedConfig(EngineConfig):
    """What is the embedded engine's own."""

    folder: Path
    lock_wait: float = 0.0
    make_writer: MakeWriter = Writer
