"""The Python client: submit jobs over HTTP, and hold them as the scheduler's tasks are held.

with Awaitd("http://127.0.0.1:8000") as client:
    job = client.submit("check_links", url="https://example.org/")
    report = job.wait(timeout=60)
"""

from app.client.aio import AsyncAwaitd, AsyncJobHandle
from app.client.errors import (
    AwaitdError,
    Busy,
    Forbidden,
    InvalidParameter,
    InvalidParams,
    JobExpired,
    JobFailed,
    JobNotFound,
    KeyReused,
    NotAwaitd,
    ParamError,
    PayloadTooLarge,
    Problem,
    ProblemError,
    QueueFull,
    RateLimited,
    ServerError,
    ShuttingDown,
    StoreFull,
    StoreUnavailable,
    TooManyConnections,
    TooManyWaiters,
    Unauthorized,
    UnknownTask,
    Unreachable,
    Untrusted,
)
from app.client.options import Filters, Options
from app.client.records import Attempt, Job, JobError, JobEvent, LogLine, Progress, Task
from app.client.sync import Awaitd, JobHandle
from app.scheduler import Status, TaskNotFinished

__all__ = [
    "AsyncAwaitd",
    "AsyncJobHandle",
    "Attempt",
    "Awaitd",
    "AwaitdError",
    "Busy",
    "Filters",
    "Forbidden",
    "InvalidParameter",
    "InvalidParams",
    "Job",
    "JobError",
    "JobEvent",
    "JobExpired",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "KeyReused",
    "LogLine",
    "NotAwaitd",
    "Options",
    "ParamError",
    "PayloadTooLarge",
    "Problem",
    "ProblemError",
    "Progress",
    "QueueFull",
    "RateLimited",
    "ServerError",
    "ShuttingDown",
    "Status",
    "StoreFull",
    "StoreUnavailable",
    "Task",
    "TaskNotFinished",
    "TooManyConnections",
    "TooManyWaiters",
    "Unauthorized",
    "UnknownTask",
    "Unreachable",
    "Untrusted",
]
