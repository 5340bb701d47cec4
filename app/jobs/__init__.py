"""What a job is, with no HTTP and no database.

The module of a task needs two names of it: `from app.jobs import task, JobContext`.
"""

from app.jobs.context import JobContext
from app.jobs.options import task

__all__ = ["JobContext", "task"]
