from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import SHIPPED_TASKS, BadSettings, Settings, load_settings


def test_defaults(tmp_path: Path) -> None:
    """Without any setting a server serves the tasks that ship on loopback."""
    settings = load_settings(tmp_path / "none")
    assert (settings.host, settings.port, settings.tasks) == ("127.0.0.1", 8000, SHIPPED_TASKS)
    assert settings.data_dir == Path("awaitd-data")
    assert (settings.max_wait, settings.shutdown_grace, settings.cancel_grace) == (50, 8, 1)


def test_secrets_are_files(tmp_path: Path) -> None:
    """A file in the secrets directory is a setting of its name."""
    (tmp_path / "awaitd_max_pending").write_text("7\n")
    (tmp_path / "AWAITD_TASKS").write_text("mine.py, more.tasks\n")
    (tmp_path / "of_another_service").write_text("x")
    settings = load_settings(tmp_path)
    assert settings.max_pending == 7
    assert settings.tasks == ("mine.py", "more.tasks")


def test_unknown_secrets_are_refused(tmp_path: Path) -> None:
    """A misspelt secret is refused by name, as a misspelt variable is."""
    (tmp_path / "awaitd_max_pendign").write_text("7")
    with pytest.raises(BadSettings, match="AWAITD_MAX_PENDIGN"):
        load_settings(tmp_path)


def test_settings_do_not_change() -> None:
    """Settings are read once."""
    settings = Settings.model_construct()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LocalHost"]
)
def test_loopback_needs_no_leave(host: str) -> None:
    """Loopback, in any spelling, can be served without keys."""
    Settings(host=host).require_safe_address(keys_in_use=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "127.0.0.1.nip.io"])
def test_any_other_address_does(host: str) -> None:
    """Everybody else's way in needs keys, or AWAITD_INSECURE."""
    with pytest.raises(BadSettings, match=r"awaitd keys add.*AWAITD_INSECURE=true"):
        Settings(host=host).require_safe_address(keys_in_use=False)
    Settings(host=host).require_safe_address(keys_in_use=True)
    Settings(host=host, insecure=True).require_safe_address(keys_in_use=False)
