"""The spellings of what clients send, for the routes that check them and the document."""

from typing import Final

LABEL_NAME: Final = r"^[A-Za-z0-9_./-]{1,64}$"
LABEL_VALUE: Final = r"^[^\x00-\x1f\x7f]{0,255}$"
MAX_LABELS: Final = 32

LABEL_FILTER: Final = r"^[^:]+:"
"""A name and a value; what no label is spelled like finds nothing."""

MAX_REPEATED: Final = 50
"""How often one filter may be given."""

IDEMPOTENCY_KEY: Final = r'^(?!""$)("[!-~]{1,255}"|[!-~]{1,255})$'
"""Bare or in quotes."""

CURSOR: Final = r"^[A-Za-z0-9_-]{21}[AQgw]$"
"""128 bits in base64 for URLs."""

EVENT_ID: Final = r"^[0-9]{0,18}$"

WEBHOOK_URL: Final = r"^https?://[A-Za-z0-9.-]+(:[1-9][0-9]{0,3})?([/?][!-~]*)?$"
"""Nearly all that may be; `app.receivers` says what is wrong with one."""

MAX_WEBHOOK_URL: Final = 2_000

RUN_AT: Final = r"^(?!9999)"
"""Of the time as it is sent; a day of room is left for offsets that lead to another year in UTC."""
