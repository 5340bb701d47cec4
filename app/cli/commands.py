"""Every command; they are listed in the order of these imports."""

from app.cli.root import cli  # isort: skip

from app.cli import run, jobs, demo, service, keys  # isort: skip

__all__ = ["cli", "demo", "jobs", "keys", "run", "service"]
