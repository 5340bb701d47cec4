import re
import time
from pathlib import Path
from typing import Any

import pytest

from app.signing import Signer
from app.webhooks import AT_ONCE, EVERY, OF_RECEIVER, SCHEDULE, WITHIN
from tests.support.receiver import SECRET

DOCS = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def test_the_receiver(capsys: pytest.CaptureFixture[str]) -> None:
    """The receiver that the docs show takes what is signed, once, and refuses what is not."""
    code = re.search(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code.group(1), names)
    body = b'{"type":"job.failed","data":{"id":"1"}}'
    headers = Signer(SECRET).headers("m", int(time.time()), body)
    assert [names["receive"](body, headers) for _ in range(2)] == [204, 204]
    assert capsys.readouterr().out == "job.failed 1\n"
    assert names["receive"](body + b" ", headers) == 400


def test_the_figures() -> None:
    """The schedule and the bounds are those of the docs."""
    hours = "2, 5, 10, 14, 20 and 24 hours"
    assert f"after 5 s, 5 and 30 minutes, {hours}" in DOCS
    assert [seconds / 60 for seconds in SCHEDULE[1:3]] == [5, 30]
    assert [seconds / 3600 for seconds in SCHEDULE[3:]] == [2, 5, 10, 14, 20, 24]
    assert (
        f"makes {AT_ONCE} attempts at once and begins {1 / EVERY:g} a second, {OF_RECEIVER} at"
        in DOCS
    )
    assert f"it takes {AT_ONCE // OF_RECEIVER} that hang" in DOCS
    assert f"within {WITHIN:g} s" in DOCS
