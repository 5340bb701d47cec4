"""What a run of the link checker finds."""

import string
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

MAX_LISTED: Final = 500
"""So many broken links and redirects are listed, so that no site makes a report too large."""

_MAX_SHOWN: Final = 256
_PRINTABLE: Final = string.digits + string.ascii_letters + string.punctuation


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class PageReport(_Record):
    """An address that was asked for and did not redirect."""

    url: str
    status: int | None = Field(description="The HTTP status; null when there was no answer.")
    links: int = Field(description="How many different links stand on the page.")


class BrokenLink(_Record):
    """A link that leads nowhere, and where it stands."""

    page: str = Field(description="The page that the link stands on.")
    link: str = Field(description="The address that it leads to.")
    reason: str = Field(description="What is wrong with it, in words.")
    status: int | None = Field(description="The HTTP status there; null without an answer.")


class Redirect(_Record):
    """An address that sends its visitors on to another one."""

    url: str
    location: str = Field(description="Where it sends them; not visited when on another host.")
    status: int


class LinkReport(_Record):
    """What is right and wrong with the links of a site."""

    complete: bool = Field(
        description="True when every link within the site was checked; false when the job was "
        "cancelled, ran out of time or reached `max_pages`, or a page could not be read to its end."
    )
    pages: list[PageReport]
    broken: list[BrokenLink] = Field(description=f"The broken links, the first {MAX_LISTED}.")
    redirects: list[Redirect] = Field(description=f"The redirects, the first {MAX_LISTED}.")
    broken_links: int = Field(description="How many links are broken, listed or not.")
    unchecked_links: int = Field(description="How many links within the site were not checked.")
    external_links: int = Field(description="How many links lead to other hosts; none is visited.")


def shown(address: str) -> str:
    """An address as reports show it: printable ASCII, and not too long."""
    text = quote(address, safe=_PRINTABLE, errors="replace")
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
