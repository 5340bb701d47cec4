import json
import re
import shutil
from pathlib import Path

import pytest

from tests.clients.programs import HERE, TOOLS, run
from tests.support.server import ROOT

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

WEB = ROOT / "app" / "web"
TYPES = {
    "preact": 'export * from "preact";',
    "preact-hooks": 'export * from "preact/hooks";',
    "signals": 'export * from "@preact/signals";',
    "htm": 'import htm from "htm";\nexport default htm;',
}
"""What stands for each vendored module, which has no types: those of the package it comes from."""

OPTIONS = {
    "target": "ES2022",
    "module": "NodeNext",
    "strict": True,
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "skipLibCheck": True,
    "lib": ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
    "types": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The dashboard's modules beside the packages that its vendored modules come from."""
    shutil.copytree(WEB, tmp_path / "web", ignore=shutil.ignore_patterns("vendor"))
    (tmp_path / "web" / "vendor").mkdir()
    for name, text in TYPES.items():
        (tmp_path / "web" / "vendor" / f"{name}.d.ts").write_text(text)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    config = {"compilerOptions": OPTIONS, "include": ["web/**/*.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    return tmp_path


def test_the_types_of_the_dashboard_hold(folder: Path) -> None:
    """The modules of the dashboard pass tsc at its strictest, by the types in their comments."""
    run(folder, "tsc")


def test_types_are_those_of_the_vendored_versions() -> None:
    """The packages that are checked against have the versions that are vendored."""
    asked = json.loads((HERE / "package.json").read_text())["devDependencies"]
    title = (WEB / "vendor" / "VENDORED.md").read_text().splitlines()[0]
    vendored = dict(re.findall(r"(\S+)@(\d\S+)", title))
    vendored.pop("@preact/signals-core")  # comes with the one that uses it
    assert vendored == {name: asked[name] for name in vendored}
