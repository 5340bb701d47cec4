"""Signatures of webhooks, after the Standard Webhooks specification."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

PREFIX: Final = "whsec_"
_LEAST: Final = 24
_MOST: Final = 64
_RULE: Final = (
    f"a secret is {PREFIX} and the base64 of {_LEAST} to {_MOST} random bytes, such as "
    f'"{PREFIX}$(openssl rand -base64 32)"; several are separated by spaces or commas'
)


class Signer:
    """Signs with each of some secrets, so that receivers can go from one to the next.

    Raises ValueError for what are none; the message does not repeat them.
    """

    def __init__(self, secrets: str) -> None:
        found = [secret for secret in re.split(r"[\s,]+", secrets) if secret]
        if not found:
            raise ValueError(_RULE)
        self._keys = [Webhook(_bytes_of(secret)) for secret in found]

    def headers(self, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """What goes with a body that is sent at a time, in seconds since the Unix epoch."""
        at, text = datetime.fromtimestamp(seconds, UTC), body.decode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(key.sign(message_id, at, text) for key in self._keys),
        }


def _bytes_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _LEAST <= len(key) <= _MOST:
        raise ValueError(_RULE)
    return key
