"""The model: every promise, checked against a history."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from tests.simulation import answers, cancels, promises
from tests.simulation.book import Book

Rule: TypeAlias = Callable[[Book], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    promises.found_again,
    promises.as_submitted,
    promises.starts_once,
    promises.counts_attempts,
    promises.ends_as_it_ended,
    promises.outcomes_are_kept,
    promises.final_is_final,
    promises.ids_grow,
    cancels.cancels_hold,
    cancels.cancelled_error_comes_once,
    cancels.one_job_for_a_key,
    cancels.first_come_first_served,
    cancels.nothing_before_its_time,
    cancels.slots_are_kept,
    answers.nothing_unforeseen,
    answers.store_answers,
    answers.only_what_is_full_refuses,
    answers.nothing_is_unknown,
    answers.waits_are_prompt,
    answers.streams_go_on,
    answers.figures_agree,
    answers.stays_as_it_is,
)


def violations(book: Book) -> list[str]:
    """What breaks a promise, each with the name of the rule; nothing, if all are kept."""
    return [f"{rule.__name__}: {what}" for rule in RULES for what in rule(book)]
