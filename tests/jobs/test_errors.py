from uuid import UUID

import pytest

from app.jobs import errors
from app.jobs.errors import (
    CallerError,
    InvalidParams,
    JobsError,
    ParamError,
    QueueFull,
    ServiceError,
    ShuttingDown,
    StoreFull,
    StoreUnavailable,
    UnknownTask,
)

JOB_ID = UUID("0199d2a0-7b1c-7000-8f3e-2a41c07de512")


def test_every_error_of_the_floor_has_one_base() -> None:
    """Whoever catches `JobsError` catches them all."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = [kind for kind in kinds if issubclass(kind, Exception)]
    assert len(raised) > 10
    assert all(issubclass(kind, JobsError) for kind in raised)


@pytest.mark.parametrize(
    "kind", [errors.JobNotFound, errors.JobExpired, errors.KeyReused, errors.VersionMismatch]
)
def test_an_error_about_a_job_names_it(
    kind: type[errors.JobNotFound | errors.JobExpired | errors.KeyReused | errors.VersionMismatch],
) -> None:
    """Its id stands in the message and in an attribute; the caller did wrong."""
    error = kind(JOB_ID)
    assert error.job_id == JOB_ID
    assert str(JOB_ID) in str(error)
    assert isinstance(error, CallerError)


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (QueueFull(3, 2), 1),
        (StoreFull(30, 20), 60),
        (ShuttingDown(), 1),
        (StoreUnavailable("the disk is full", retry_after=7), 7),
    ],
)
def test_what_went_wrong_here_may_be_tried_again(error: ServiceError, retry_after: int) -> None:
    """Every `ServiceError` says after how many seconds."""
    assert error.retry_after == retry_after
    assert str(error)


def test_the_figures_of_a_full_service_are_kept() -> None:
    """Depth, size and limits are attributes, for whoever shows them."""
    queue, store = QueueFull(3, 2), StoreFull(30, 20)
    assert (queue.depth, queue.limit) == (3, 2)
    assert (store.size, store.limit) == (30, 20)


def test_invalid_params_say_each_thing_that_is_wrong() -> None:
    """The message has every pointer with its detail."""
    found = [ParamError("/params/a", "is missing", "missing"), ParamError("/timeout", "no", "x")]
    error = InvalidParams(found)
    assert str(error) == "/params/a: is missing; /timeout: no"
    assert error.errors == tuple(found)


def test_an_unknown_task_comes_with_names_that_are_close() -> None:
    """The message offers them; without any it says where to look."""
    error = UnknownTask("slep", ["sleep", "step"])
    assert str(error) == "there is no task 'slep'; did you mean sleep or step?"
    assert (error.name, error.close) == ("slep", ("sleep", "step"))
    assert "GET /tasks" in str(UnknownTask("x", []))


def test_a_long_name_is_not_repeated_in_full() -> None:
    """A message stays short whatever was sent."""
    assert len(str(UnknownTask("x" * 1_000_000, []))) < 200
