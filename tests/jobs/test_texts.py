import json
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.texts import (
    class_name,
    clipped,
    message_of,
    texts_to_json,
    to_json,
    traceback_of,
)

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates included


@settings(max_examples=40)
@given(text=any_text | any_text.map(lambda text: text * 500))
def test_a_clipped_text_is_valid_and_short(text: str) -> None:
    """Whatever comes in, at most 2,000 characters that UTF-8 can carry come out."""
    short = clipped(text)
    short.encode()
    assert len(short) <= 2_000


@settings(max_examples=40)
@given(text=st.text(max_size=2_000))
def test_a_short_text_stays_as_it_is(text: str) -> None:
    """Nothing is changed in a valid text of up to 2,000 characters."""
    assert clipped(text) == text


def test_a_text_that_was_cut_says_so() -> None:
    """An ellipsis stands in place of the rest."""
    assert clipped("x" * 2_000) == "x" * 2_000
    assert clipped("x" * 2_001) == "x" * 1_999 + "…"
    assert clipped("x" * 10_000_000) == "x" * 1_999 + "…"


def test_lone_surrogates_are_replaced() -> None:
    """A text that JSON could not carry is made one that it can."""
    assert clipped("a\ud800b") == "a?b"
    assert traceback_of(ValueError("a\ud800b")) == "ValueError: a?b"


def test_texts_are_written_as_all_other_json_is() -> None:
    """Each character alike, by the encoder that is fast and by the one that takes any value."""
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    value = {"".join(characters): [None, *characters]}
    assert texts_to_json(value) == to_json(value)
    with pytest.raises(UnicodeEncodeError):
        texts_to_json("a\ud800b")


class Broken(Exception):
    """Its text cannot be had."""

    def __init__(self, reason: BaseException) -> None:
        self.reason = reason

    def __str__(self) -> str:
        raise self.reason


class Numb(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no such thing"), "no such thing"),
        (ValueError(), ""),
        (KeyError("k"), "'k'"),
        (SystemExit(3), "3"),
        (ValueError("\udfff"), "?"),
        (ValueError("x" * 5_000), "x" * 1_999 + "…"),
        (Broken(ValueError()), "(its text cannot be had: ValueError)"),
        (Broken(SystemExit()), "(its text cannot be had: SystemExit)"),
        (Numb(), "(its text cannot be had: TypeError)"),
    ],
)
def test_every_exception_has_a_message(error: BaseException, message: str) -> None:
    """Whatever its `__str__` does, the message is a short valid text."""
    assert message_of(error) == message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@settings(max_examples=40)
@given(value=json_values)
def test_json_comes_back(value: object) -> None:
    """What is written can be read again, and has no needless space."""
    text = to_json(value)
    assert json.loads(text) == value
    assert to_json({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"x": -math.inf}, "\ud800"])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    """NaN, infinities and lone surrogates are errors, not something else in their place."""
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        to_json(value)


def test_what_is_no_json_is_refused() -> None:
    """An object without a JSON form is a `TypeError`."""
    with pytest.raises(TypeError):
        to_json(object())


class Secretive(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit


class Nameless(Exception, metaclass=Secretive):
    __cause__ = property(lambda _: exec("raise SystemExit"))


def test_a_class_is_named_whatever_its_metaclass_says() -> None:
    """The name that its definition gives, cut as every text is."""
    assert class_name(Nameless()) == "Nameless"
    assert class_name(type("x" * 3_000, (Exception,), {})()) == "x" * 1_999 + "…"


def test_a_traceback_is_a_text_for_the_log() -> None:
    """As Python prints it; of a very long one the middle is left out; some cannot be had."""
    try:
        raise LookupError("x" * 3)
    except LookupError as error:
        text = traceback_of(error)
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("\nLookupError: xxx")
    long = traceback_of(LookupError("x" * 50_000 + "end"))
    assert (long[:20], long[-5:]) == ("LookupError: xxxxxxx", "xxend")
    assert len(long) == 20_003
    assert traceback_of(Nameless()) == "(its traceback cannot be had: SystemExit)"
