"""The distributed engine: PostgreSQL keeps the jobs, Procrastinate dispatches them."""
