"""The part of the pytest plugin that holds tests to recorded gradients: a fixture, an option, and what nobody uses.

Baselines lie in a folder ``__gradients__`` beside the test file. They are compared, and written only where
``--rnngrad-update`` asks for it; one that still holds is left as it is. Like the rest of the plugin it imports nothing
heavy until it is used.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["gradient_baseline"]

FOLDER = "__gradients__"
USED = "rnngrad_baseline"  # the key of a path, from the root, among a report's user properties
LONGEST = 110
SERVERS = ("CI", "CONTINUOUS_INTEGRATION", "BUILD_NUMBER", "TF_BUILD")
PARTIAL = ("keyword", "markexpr", "deselect", "lf", "collectonly")  # options with which not every test runs


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that records."""
    group = parser.getgroup("rnngrad", "gradient checking")
    group.addoption("--rnngrad-update", action="store_true", help="record baselines that are missing or do not hold")


@pytest.fixture
def gradient_baseline(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return a function that holds a pair to its recorded gradients: ``gradient_baseline(pair, cases=, name=)``."""
    from rnngrad.errors import InvalidBaseline, NotEquivalent
    from rnngrad.regress.baseline import checked_name, hold, record
    from rnngrad.regress.drawn import cases_of

    taken: set[str] = set()

    def held_to(pair: Any, *, cases: Any = None, name: str | None = None) -> Any:
        __tracebackhide__ = True
        wanted = cases_of(pair, cases)
        chosen = checked_name(default_name(request, pair) if name is None else name)
        if chosen in taken:
            raise InvalidBaseline(f"two baselines of this test are called {chosen!r}; give each a name=")
        taken.add(chosen)
        path = request.path.parent / FOLDER / f"{chosen}.npz"
        request.node.user_properties.append((USED, relative(path, request.config)))
        recorded = None if cases is None else wanted
        if not request.config.getoption("--rnngrad-update"):
            return hold(pair, path, recorded)
        if any(on(name) for name in SERVERS):
            raise InvalidBaseline("nothing is recorded under CI; run pytest --rnngrad-update locally, and commit")
        try:
            return hold(pair, path, recorded)
        except (InvalidBaseline, NotEquivalent):
            record(pair, path, cases=wanted, test=request.node.nodeid)
            return hold(pair, path, recorded)

    return held_to


def on(variable: str) -> bool:
    """Tell whether an environment variable is set to something."""
    return os.environ.get(variable, "").lower() not in ("", "0", "false")


def default_name(request: pytest.FixtureRequest, pair: Any) -> str:
    """Return the name of a baseline: file, test and pair; with a hash where that is no name of a file."""
    whole = f"{request.path.stem}.{request.node.name}.{pair.name}"
    plain = re.sub(r"[^A-Za-z0-9_.\-]", "_", whole)[:LONGEST]
    return plain if plain == whole else f"{plain}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def relative(path: Path, config: pytest.Config) -> str:
    """Write a path from the root of the run."""
    return Path(os.path.relpath(path, config.rootpath)).as_posix()


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Report baselines that no test used, where all tests of their file ran."""
    if hasattr(config, "workerinput") or exitstatus not in (0, 1):
        return
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "nodeid")]
    if partial(config) or (config.getoption("maxfail") and exitstatus):
        return
    passed: dict[str, bool] = {}
    for report in reports:
        passed[report.nodeid] = passed.get(report.nodeid, True) and getattr(report, "outcome", "") == "passed"
    used = {value for report in reports for key, value in getattr(report, "user_properties", []) if key == USED}
    for path in sorted(unused(config, passed, used)):
        terminalreporter.write_line(f"unused baseline: {path}; no test compares with it any more, remove it")


def partial(config: pytest.Config) -> bool:
    """Tell whether some tests were left out on purpose."""
    chosen = any(config.getoption(name, default=None) for name in PARTIAL)
    return chosen or any("::" in argument for argument in config.args)


def unused(config: pytest.Config, passed: dict[str, bool], used: set[str]) -> Iterator[str]:
    """Yield the baselines that were not used though the test that recorded them is gone, or passed without them."""
    files = {config.rootpath / nodeid.partition("::")[0] for nodeid in passed}
    for folder in {file.parent / FOLDER for file in files}:
        for path in folder.glob("*.json"):
            archive = relative(path.with_suffix(".npz"), config)
            test = recorded_by(path)
            if archive in used or not test:
                continue
            name, _, rest = test.partition("::")
            file = folder.parent / Path(name).name
            here = f"{relative(file, config)}::{rest}"
            if not file.exists() or (file in files and passed.get(here, True)):
                yield archive


def recorded_by(path: Path) -> str:
    """Return the test that recorded a baseline; ``""`` where none is named."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["test"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
