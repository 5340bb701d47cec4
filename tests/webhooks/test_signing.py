import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.signing import Signer
from tests.support.receiver import SECRET

OTHER = "whsec_" + base64.b64encode(b"o" * 64).decode()
BODY = '{"a":"ä"}'.encode()


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n"])
def test_rotation(between: str) -> None:
    """Each of several secrets signs, so that a receiver may have the old one or the new one."""
    headers = Signer(f"{SECRET}{between}{OTHER}").headers("m", int(time.time()), BODY)
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(BODY, headers) == {"a": "ä"}
    third = "whsec_" + base64.b64encode(b"t" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(third).verify(BODY, headers)


def test_what_is_signed() -> None:
    """The id, the time and the body are signed: none of them can be exchanged."""
    headers = Signer(SECRET).headers("m", int(time.time()), BODY)
    changes = [{"webhook-id": "n"}, {"webhook-timestamp": str(int(time.time()) + 1)}]
    for change in changes:
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(BODY, headers | change)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b"{}", headers)


@pytest.mark.parametrize(
    "secrets",
    [
        "",
        " , ",
        SECRET.removeprefix("whsec_"),
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_no base64",
        "whsec_" + "ä" * 32,
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        f"{SECRET} and",
    ],
)
def test_what_is_no_secret(secrets: str) -> None:
    """What is no secret is refused, with what one is, and not repeated."""
    with pytest.raises(ValueError, match="whsec_") as raised:
        Signer(secrets)
    assert SECRET not in str(raised.value)
    assert "c2hvcnQ" not in str(raised.value)
