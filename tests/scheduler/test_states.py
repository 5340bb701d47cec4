import itertools

import pytest

from app.scheduler import IllegalStep, Status, Step
from app.scheduler.states import TRANSITIONS, after

EVERY_STEP = list(itertools.product(Status, Step))


@pytest.mark.parametrize(("status", "step"), EVERY_STEP)
def test_a_step_is_in_the_table_or_illegal(status: Status, step: Step) -> None:
    """`after` gives what the table says and raises `IllegalStep`, with both, for the rest."""
    if (status, step) in TRANSITIONS:
        assert after(status, step) is TRANSITIONS[status, step]
        return
    with pytest.raises(IllegalStep, match=f"no step '{step}' from status '{status}'") as raised:
        after(status, step)
    assert (raised.value.status, raised.value.step) == (status, step)


def test_no_step_leads_out_of_a_finished_status() -> None:
    """Completed, failed and cancelled are final, and the only ones that are."""
    left = {status for status, _ in TRANSITIONS}
    finished = {status for status in Status if status.finished}
    assert set(Status) - left == finished == {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


def test_every_status_is_reached_from_pending() -> None:
    """The table has a way from pending to each other status."""
    reached = {Status.PENDING}
    for _ in Status:
        reached |= {end for (start, _), end in TRANSITIONS.items() if start in reached}
    assert reached == set(Status)


def test_the_table_cannot_be_changed() -> None:
    """The table of steps is read-only."""
    with pytest.raises(TypeError):
        TRANSITIONS[Status.COMPLETED, Step.START] = Status.RUNNING  # type: ignore[index]
