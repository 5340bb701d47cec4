"""Which jobs a query means."""

from app.jobs.models import Job, JobQuery


def matches(job: Job, query: JobQuery) -> bool:
    """Whether a job is one of those that the query's filters leave."""
    return (
        query.owner in (None, job.owner)
        and (not query.statuses or job.status in query.statuses)
        and (not query.tasks or job.task in query.tasks)
        and all(job.labels.get(name) == value for name, value in query.labels)
    )
