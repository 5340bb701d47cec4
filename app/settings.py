"""The settings: read once at start-up from the environment, `.env` and a secrets directory."""

import os
from collections.abc import Iterable
from importlib.metadata import entry_points
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
)

from app.outbound import OutboundPolicy
from app.signing import Signer

PREFIX: Final = "AWAITD_"
SECRETS_DIR: Final = Path("/run/secrets")

SHIPPED_TASKS: Final = ("app.tasks",)

CLIENT_SETTINGS: Final = frozenset({"AWAITD_URL", "AWAITD_API_KEY"})
"""Of the client and the command line; known here, so that one environment serves both."""

MAX_SECONDS: Final = 100 * 366 * 86_400.0
"""A hundred years: what is longer is a mistake, and some clocks cannot count it."""

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]


class BadSettings(Exception):
    """Raised when a setting is wrong or unknown; the message names each one."""


class Settings(BaseSettings):
    """Durations are seconds, sizes are bytes. Frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = "127.0.0.1"
    """The address to listen on; another than loopback needs API keys, or `insecure`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """The port to listen on; 0 takes a free one."""
    data_dir: Path = Path("awaitd-data")
    """Where the journal lives; made if it is not there."""
    tasks: Annotated[tuple[str, ...], NoDecode] = SHIPPED_TASKS
    """Modules of tasks: dotted names and paths to `.py` files, separated by commas."""
    max_running: Count = 1_000
    """How many jobs run at once."""
    max_pending: Count = 100_000
    """How many jobs may wait, delayed and retrying ones included; then submissions get 429."""
    max_store_size: Bytes | None = None
    """The size of the journal from which on submissions get 429; jobs leave it by age only."""
    owner_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """How many jobs each owner of API keys may submit in a second."""
    owner_max_running: Count | None = None
    """How many jobs of one owner run at once; further ones wait."""
    owner_max_pending: Count | None = None
    """How many jobs of one owner may wait; then its submissions get 429."""
    database_url: SecretStr | None = None
    """A connection string of PostgreSQL, which then keeps the jobs instead of the journal."""
    stall_after: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 30
    """How long a worker is silent before its jobs are others'."""
    retention: Seconds = 86_400
    """How long a finished job is kept after its end."""
    max_body_size: Bytes = 1 << 20
    """The largest request body."""
    max_result_size: Bytes = 1 << 20
    """The largest result, as JSON."""
    max_wait: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 50
    """The longest wait that `Prefer: wait=n` gets; many proxies give up at 60."""
    max_waiters: Count = 10_000
    """How many requests may wait for a job at once."""
    max_streams: Count = 2_000
    """How many event streams may be open at once."""
    shutdown_grace: Seconds = 8
    """How long running jobs may finish after SIGTERM; `docker stop` kills after 10."""
    cancel_grace: Seconds = 1
    """How long they may then clean up."""
    lock_wait: Seconds = 0
    """How long to wait for another process to let go of the data directory."""
    unknown_task_after: Seconds = 86_400
    """How long past its due time a job waits for a task that is gone, before it fails."""
    outbound_allow: Annotated[OutboundPolicy, NoDecode] = OutboundPolicy()
    """Private hosts, addresses or networks that tasks may reach, separated by commas."""
    webhook_secret: SecretStr | None = None
    """What signs webhooks, `whsec_` and base64; several, separated by spaces, while one goes."""
    access_log: bool = False
    """A log line for each request."""
    log_format: Literal["console", "json"] = "console"
    """How log lines look: for people, or a JSON object each."""
    exception_text: bool = True
    """Show what exceptions say; without it, callers and the log get their types alone."""
    insecure: bool = False
    """Serve another address than loopback without keys: who reaches it may do anything."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("outbound_allow", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        return OutboundPolicy.parse(value) if isinstance(value, str) else value

    @field_validator("webhook_secret")
    @classmethod
    def _check(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            Signer(value.get_secret_value())
        return value

    def require_safe_address(self, keys_in_use: bool) -> None:
        """Raise `BadSettings` when whoever reaches the address could do anything."""
        if not (self.insecure or keys_in_use or _is_loopback(self.host)):
            raise BadSettings(
                f"AWAITD_HOST={self.host} lets anybody who reaches it run jobs: make a key with "
                "`awaitd keys add NAME`, listen on 127.0.0.1, or set AWAITD_INSECURE=true"
            )


def load_settings(secrets_dir: Path = SECRETS_DIR) -> Settings:
    """The settings in the environment, else in `.env`, else in a file of that name in a directory.

    Raises `BadSettings`.
    """
    try:
        files = [file.name for file in secrets_dir.iterdir()] if secrets_dir.is_dir() else None
        _require_propagators(os.environ.get("OTEL_PROPAGATORS", ""))
        _refuse_unknown([*os.environ, *DotEnvSettingsSource(Settings).env_vars, *(files or ())])
        # To name a directory that is not there would be a warning.
        sources: dict[str, Any] = {} if files is None else {"_secrets_dir": secrets_dir}
        return Settings(**sources)
    except ValidationError as error:
        raise BadSettings("\n".join(_messages(error))) from error
    except (OSError, UnicodeError) as error:
        raise BadSettings(f"cannot read the settings in .env or {secrets_dir}: {error}") from error


def _require_propagators(names: str) -> None:
    """Raise `BadSettings` for what OpenTelemetry would raise while FastAPI is imported."""
    for name in map(str.strip, names.split(",") if names else ()):
        if name.lower() == "none":
            return
        if not entry_points(group="opentelemetry_propagator", name=name):
            known = sorted(entry_points(group="opentelemetry_propagator").names)
            raise BadSettings(
                f"OTEL_PROPAGATORS: {name!r} is not installed; there are {', '.join(known)}, none"
            )


def _refuse_unknown(names: Iterable[str]) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | CLIENT_SETTINGS
    given = {name.upper() for name in names if name.upper().startswith(PREFIX)}
    if unknown := sorted(given - known):
        raise BadSettings(
            f"there is no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )


def _messages(error: ValidationError) -> list[str]:
    messages = []
    for found in error.errors(include_url=False, include_input=False):
        name = PREFIX + str(found["loc"][0]).upper() + ": " if found["loc"] else ""
        messages.append(name + found["msg"].removeprefix("Value error, "))
    return messages


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
