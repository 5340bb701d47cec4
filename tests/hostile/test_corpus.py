import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.hostile import bodies, framing, headers, methods, parameters, targets
from tests.hostile.case import Case
from tests.hostile.wire import HANGS_AFTER, Answer, Call, exchange_all, judge
from tests.support.contract import Contract
from tests.support.server import Server

KINDS = {
    "framing": framing.CASES,
    "headers": headers.CASES,
    "targets": targets.CASES,
    "methods": methods.CASES,
    "bodies": bodies.CASES,
    "parameters": parameters.CASES,
}


def test_the_corpus_is_large() -> None:
    """There are some hundred cases, each with a name of its own."""
    names = [case.name for cases in KINDS.values() for case in cases]
    assert len(names) == len(set(names)) > 500


def complaint(case: Case, answers: Any, contract: Contract) -> str:
    """What is wrong with the answers; empty when nothing is."""
    if isinstance(answers, BaseException):
        return f"{case.name}: {answers!r}"
    try:
        for answer in answers:
            assert isinstance(answer, Answer)
            judge(answer, case.method, case.target, contract)
    except Exception as error:
        return f"{case.name}: {answers} {error!r}"[:1_000]
    statuses = tuple(answer.status for answer in answers)
    return "" if statuses == case.statuses else f"{case.name}: {statuses}, not {case.statuses}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_hostile_request_gets_what_it_must(
    server: Server,
    contract: Contract,
    job_id: str,
    is_unharmed: Callable[[], bool],
    kind: str,
) -> None:
    """Each is refused, or answered, as it must be; and the server is as it was before."""
    cases = KINDS[kind]
    calls = [
        Call(
            case.request.replace(b"{job}", job_id.encode()),
            case.method,
            patience=0 if case.cut else HANGS_AFTER,
        )
        for case in cases
    ]
    answers = asyncio.run(exchange_all(server.url, calls))
    pairs = zip(cases, answers, strict=True)
    complaints = [text for case, found in pairs if (text := complaint(case, found, contract))]
    assert not complaints, "\n".join(complaints)
    assert is_unharmed()
