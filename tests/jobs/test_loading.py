import contextlib
import os
import queue
import sys
from pathlib import Path
from types import ModuleType

import pytest

from app.jobs.errors import StartUpError
from app.jobs.loading import BadModule, load_modules
from app.jobs.registry import RegistryError, TaskRegistry

pytestmark = pytest.mark.usefixtures("imports")

WORK = """\
from app.jobs import task

@task
async def {name}() -> None: ...
"""


def _write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _names(*specs: str) -> list[str]:
    return [task.name for task in TaskRegistry.from_modules(load_modules(specs))]


def _refusal(*specs: str) -> str:
    with pytest.raises(BadModule) as refused:
        load_modules(specs)
    assert isinstance(refused.value, StartUpError)
    return str(refused.value)


def test_modules_come_by_dotted_name_and_by_path(tmp_path: Path) -> None:
    """Tasks stand in the order of the modules that have them."""
    file = _write(tmp_path / "one.py", WORK.format(name="first"))
    _write(tmp_path / "package/__init__.py", "")
    _write(tmp_path / "package/inner.py", WORK.format(name="second"))
    assert _names(file, "package.inner") == ["first", "second"]
    assert _names("package.inner", file) == ["second", "first"]


def test_a_module_in_the_working_directory_is_found(tmp_path: Path) -> None:
    """`awaitd serve` beside `here.py` serves `here`, and `here.py` and `./here.py` as well."""
    _write(tmp_path / "here.py", WORK.format(name="work"))
    with contextlib.chdir(tmp_path):
        assert _names("here", "here.py", "./here.py", f"../{tmp_path.name}/here.py") == ["work"]


def test_a_path_may_begin_at_home() -> None:
    """`~` is the home directory, as in a shell."""
    home = os.path.expanduser("~")
    assert f"there is no file {home}/no such tasks.py" in _refusal("~/no such tasks.py")


def test_two_files_may_have_the_same_name(tmp_path: Path) -> None:
    """Each is a module of its own."""
    files = [_write(tmp_path / team / "tasks.py", WORK.format(name=team)) for team in "abc"]
    assert _names(*files) == ["a", "b", "c"]


def test_a_file_does_not_hide_the_standard_library(tmp_path: Path) -> None:
    """A `queue.py` of tasks is not what others import as `queue`."""
    assert _names(_write(tmp_path / "queue.py", WORK.format(name="work"))) == ["work"]
    assert sys.modules["queue"] is queue


def test_a_file_does_not_hide_a_module_that_was_not_imported(tmp_path: Path) -> None:
    """A program may have made one by hand, as Python makes `__main__`."""
    sys.modules["by_hand"] = by_hand = ModuleType("by_hand")
    assert _names(_write(tmp_path / "by_hand.py", WORK.format(name="work"))) == ["work"]
    assert sys.modules["by_hand"] is by_hand


@pytest.mark.parametrize("name", ["two.parts", "a-dash", "__main__", "ünïcode", "class"])
def test_a_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    """Also one that no import statement can have."""
    assert _names(_write(tmp_path / f"{name}.py", WORK.format(name="work"))) == ["work"]


def test_a_file_can_import_the_modules_beside_it(tmp_path: Path) -> None:
    """As it could if it was run as a script."""
    _write(tmp_path / "words.py", 'NAME = "greet"')
    work = WORK.format(name="work").replace("@task", "@task(name=NAME)")
    file = _write(tmp_path / "uses_words.py", "from words import NAME\n" + work)
    assert _names(file) == ["greet"]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["a b", "b a"])
def test_a_file_that_another_imports_is_one_module(order: slice, tmp_path: Path) -> None:
    """Its tasks count once, whichever of the two is named first."""
    used = _write(tmp_path / "used.py", WORK.format(name="work"))
    using = _write(tmp_path / "using.py", "from used import work")
    assert _names(*[used, using][order]) == ["work"]


def test_a_file_is_executed_once(tmp_path: Path) -> None:
    """Named twice, it has its tasks once."""
    log = tmp_path / "log"
    write = f"with open({str(log)!r}, 'a') as log:\n    log.write('.')\n"
    other = _write(tmp_path / "a/tasks.py", WORK.format(name="other"))
    file = _write(tmp_path / "b/tasks.py", write + WORK.format(name="work"))
    assert _names(other, file, file) == ["other", "work"]
    assert log.read_text() == "."


def test_a_linked_folder_leads_to_the_same_module(tmp_path: Path) -> None:
    """What is found through a link is found once."""
    file = _write(tmp_path / "real/linked.py", WORK.format(name="work"))
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert _names(str(link / "linked.py"), file) == ["work"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("\nraise RuntimeError('out of order')", 2, "RuntimeError: out of order"),
        ("import sys\nsys.exit(3)", 2, "SystemExit: 3"),
        ("\n\nimport no_such_module", 3, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(:\n    pass", 1, "SyntaxError: "),
        ("\nraise SyntaxError('by hand')", 2, "SyntaxError: by hand"),
        ("def f():\n    1 / 0\n\n\nf()", 5, "ZeroDivisionError: division by zero"),
        ("class A:\n    x = 1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import json\n\njson.loads('')", 3, "JSONDecodeError: "),
        (
            "from app.jobs import task\n@task(retries=-1)\nasync def work(): ...",
            2,
            "ValueError: retries is a whole number, 0 or more, not -1",
        ),
        (
            "from app.jobs import task\n@task('work')\nasync def work(): ...",
            2,
            "TypeError: @task marks an async def, not 'work'",
        ),
        ("import asyncio\nraise asyncio.CancelledError", 2, "CancelledError: "),
        (
            "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
            3,
            "Mute: (its text cannot be had: ValueError)",
        ),
    ],
)
@pytest.mark.parametrize("stem", ["broken", "queue", "importlib_broken"])
def test_a_module_that_cannot_be_imported_is_refused_with_its_place(
    stem: str, text: str, line: int, reason: str, tmp_path: Path
) -> None:
    """One line says which module, where in it, and what was raised."""
    file = _write(tmp_path / f"{stem}.py", text)
    message = _refusal(file)
    assert message.startswith(f"cannot import the tasks of {file!r}: {file}:{line}: {reason}")
    assert "\n" not in message


def test_the_place_is_that_of_the_module_at_fault(tmp_path: Path) -> None:
    """When a module of tasks imports a broken one, the broken one is named."""
    broken = _write(tmp_path / "at_fault.py", "\n1 / 0")
    file = _write(tmp_path / "innocent.py", "import at_fault")
    assert f"{broken}:2: ZeroDivisionError" in _refusal(file)


@pytest.mark.parametrize("spec", ["no_such_module", "app.no_such_module", "", ".", "..x", "a b"])
def test_a_module_that_is_not_there_is_refused(spec: str) -> None:
    """The message repeats the name that was given."""
    assert _refusal(spec).startswith(f"cannot import the tasks of {spec!r}: ")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A path to anything but a file is refused."""
    folder = tmp_path / "folder.py"
    folder.mkdir()
    assert f"there is no file {folder}" in _refusal(str(folder))


def test_a_broken_file_is_broken_again(tmp_path: Path) -> None:
    """Half a module does not stay behind to be taken for a whole one."""
    file = _write(tmp_path / "queue.py", WORK.format(name="work") + "1 / 0")
    assert _refusal(file) == _refusal(file)


def test_ctrl_c_is_no_fault_of_the_module(tmp_path: Path) -> None:
    """`KeyboardInterrupt` passes."""
    with pytest.raises(KeyboardInterrupt):
        load_modules([_write(tmp_path / "slow.py", "raise KeyboardInterrupt")])


def _install(folder: Path, name: str, entry_points: str) -> None:
    """What pip leaves behind of an installed package."""
    info = folder / f"{name}-1.0.dist-info"
    _write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    _write(info / "entry_points.txt", entry_points)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages on the import path."""
    folder = tmp_path / "site"
    folder.mkdir()
    sys.path.append(str(folder))
    return folder


def test_installed_packages_bring_tasks(site: Path, tmp_path: Path) -> None:
    """Those of the entry-point group `awaitd.tasks` come after the modules that are named."""
    _write(site / "shop_tasks.py", WORK.format(name="sell"))
    _write(site / "bank_tasks.py", WORK.format(name="pay"))
    _install(site, "shop", "[awaitd.tasks]\nshop = shop_tasks\n\n[console_scripts]\nx = y:z\n")
    _install(site, "bank", "[awaitd.tasks]\nbank = bank_tasks:ignored\n")
    file = _write(tmp_path / "mine.py", WORK.format(name="work"))
    first, *rest = _names(file)
    assert first == "work"
    assert sorted(rest) == ["pay", "sell"]


def test_an_entry_point_that_is_named_too_counts_once(site: Path) -> None:
    """`AWAITD_TASKS` may repeat what is installed."""
    _write(site / "shop_tasks.py", WORK.format(name="sell"))
    _install(site, "shop", "[awaitd.tasks]\nshop = shop_tasks\n")
    assert _names("shop_tasks") == ["sell"]


@pytest.mark.parametrize("value", ["no_such_tasks", "not-a name", "shop_tasks:x"])
def test_a_broken_entry_point_stops_the_start(value: str, site: Path) -> None:
    """An installed package is held to the same rules."""
    _write(site / "shop_tasks.py", "1 / 0")
    _install(site, "shop", f"[awaitd.tasks]\nshop = {value}\n")
    assert f"cannot import the tasks of {value.partition(':')[0]!r}" in _refusal()


def test_a_bad_task_in_a_file_is_refused_with_its_place(tmp_path: Path) -> None:
    """File and line are those of the function, and both are named of two that clash."""
    text = WORK.format(name="work")
    first = _write(tmp_path / "a/tasks.py", text)
    second = _write(tmp_path / "b/tasks.py", "\n\n" + text)
    with pytest.raises(RegistryError) as refused:
        _names(first, second)
    message = f"{second}:5: task 'work' is defined already, at {first}:3: "
    assert str(refused.value).startswith(message)
