"""Tasks with secrets, for tests that look for them wherever they must not be."""

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretBytes, SecretStr

from app.jobs import JobContext, task
from tests.support.tasks_for_tests import until_there

CANARY = "canary-e51d"
"""In every secret that is not random."""


class Login(BaseModel):
    """Who somebody is."""

    user: str
    password: Annotated[SecretStr, Field(min_length=8)]


def _short(text: str) -> str:
    """What a validator might say."""
    if len(text) > 40:
        raise ValueError(f"{text} is too long")
    return text


def digest(*secrets: str) -> str:
    """What tells whether secrets arrived, without them."""
    return hashlib.sha256("".join(secrets).encode()).hexdigest()


@task(
    retries=1,
    backoff=0,
    sensitive=("pin",),
    example={"login": {"user": "u", "password": CANARY + "-example"}, "pin": CANARY},
)
async def sign_in(
    login: Login,
    pin: Annotated[str, AfterValidator(_short)] = CANARY + "-default",
    keys: dict[str, SecretBytes] | None = None,
    gate: Path | None = None,
    fail: bool = False,
    *,
    job: JobContext,
) -> str:
    """Tells a digest of its secrets, once the gate is there."""
    job.log(f"{login}")
    job.progress(0.5, repr(login))
    if gate is not None:
        await until_there(gate)
    if fail:
        raise ValueError(f"{login} cannot sign in")
    shown = [key.get_secret_value().decode() for key in (keys or {}).values()]
    return digest(login.password.get_secret_value(), pin, *shown)


@task
async def give_back(login: Login) -> Login:
    """Returns what it was given."""
    return login


@task
async def log_everything() -> None:
    """Lets the server log all there is from now on."""
    logging.getLogger().setLevel(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    logging.getLogger(__name__).debug("everything is logged")
