"""The distributed engine: PostgreSQL keeps the jobs, Procrastinate's tables dispatch them."""

from app.engines.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
