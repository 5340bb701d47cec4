"""Text of unknown origin, made safe to look at."""


def visible(text: str) -> str:
    """The text with everything that is not seen as it is turned into an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
