"""The pytest plugin: it counts what checks decided, ends the run with a table, and collects pairs for `rnngrad check`.

It is loaded by every pytest run of its environment, so it imports neither numpy nor hypothesis until a check runs.
"""

import json
import os
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rnngrad import pytest_baselines
from rnngrad.check.tally import collecting, shortfall
from rnngrad.check.trust import trusting

__all__: list[str] = []

PROPERTY = "rnngrad"  # the key of the tallies, as JSON, among a report's user properties
SHARE = "rnngrad_decided"
SHOWN = "rnngrad_report"  # the key of a report that is shown though nothing is wrong
FLAKY = """\
Not reproducible: run again, the same case came out otherwise. Forward or backward is not deterministic, or remembers
earlier calls. One of the outcomes:

"""
OWN_PROFILES = ("dev", "ci", "explore")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options that `rnngrad check` sets, and the part of the plugin that holds tests to baselines."""
    pluginmanager.register(pytest_baselines, "rnngrad_baselines")
    group = parser.getgroup("rnngrad", "gradient checking")
    group.addoption("--rnngrad-check", action="store_true", help="collect module-level pairs instead of tests")
    parser.addini(SHARE, "share of a test's examples in which every gradient must be decided", default="0.5")
    group.addoption(
        "--rnngrad-power", action="store_true", help="with --rnngrad-check: tell what would have been caught"
    )
    group.addoption("--rnngrad-case", metavar="CASE", help="with --rnngrad-check: check this one case only")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the asked Hypothesis profile where it is one of ours, and find the targets of `rnngrad check`."""
    profile = config.getoption("--hypothesis-profile", default=None)
    if profile in OWN_PROFILES:
        register_unless_known(profile)
    if config.getoption("--rnngrad-check"):
        given = config.args_source is config.ArgsSource.ARGS
        config.args = [located(target) for target in config.args] if given else [located("rnngrad.cells")]


def register_unless_known(profile: str) -> None:
    """Register one of our profiles where nobody has registered that name."""
    from hypothesis import settings
    from hypothesis.errors import InvalidArgument

    try:
        settings.get_profile(profile)
    except InvalidArgument:
        from rnngrad.strategies import register_profiles

        register_profiles(profile)


def located(target: str) -> str:
    """Return a target with a dotted module name replaced by its file or folder."""
    name, *rest = target.split("::")
    if Path(name).exists() or not all(part.isidentifier() for part in name.split(".")):
        return target
    beside = Path(*name.split("."))  # the current folder is not on the path of an installed command
    found = next((path for path in (beside, beside.with_suffix(".py")) if path.exists()), None) or installed(name)
    return target if found is None else "::".join([str(found), *rest])


def installed(name: str) -> Path | None:
    """Return the file of an importable module, or the folder of a package."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass by ``__main__.py`` under `rnngrad check`: to import it is to run it."""
    return True if config.getoption("--rnngrad-check") and collection_path.name == "__main__.py" else None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the pairs of a module, not its tests, under `rnngrad check`."""
    if not parent.config.getoption("--rnngrad-check"):
        return None
    module: pytest.Module = PairModule.from_parent(parent, path=module_path)
    return module


class PairModule(pytest.Module):
    """A module whose items are its module-level pairs."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each pair; a module named as a target must hold one."""
        from rnngrad.pair import Pair

        try:
            names = vars(self.obj)
        except SystemExit as error:
            raise self.CollectError(f"{self.path.name} calls sys.exit when it is imported") from error
        found = [(name, value) for name, value in names.items() if isinstance(value, Pair)]
        asked = self.session.isinitpath(self.path)
        if not found and asked:
            raise self.CollectError(
                f"{self.path.name} holds no pair: expected a module-level name bound to rg.pair(...) or rg.Pair(...)"
            )
        seen = self.session.stash.setdefault(SEEN, set())
        for name, pair in found:
            if asked or id(pair) not in seen:  # in a folder, a pair that many modules import is checked once
                seen.add(id(pair))
                yield PairItem.from_parent(self, name=name, pair=pair)


SEEN = pytest.StashKey[set[int]]()
CUT = pytest.StashKey[list[dict[str, Any]]]()  # the tallies of a test that was interrupted


class PairItem(pytest.Item):
    """A pair as a test: a drawn run over many cases, or the one case that was asked for."""

    def __init__(self, *, pair: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.pair = pair

    def runtest(self) -> None:
        """Check the pair."""
        case = self.config.getoption("--rnngrad-case")
        if case is None:
            from rnngrad.strategies import gradient_test, power

            gradient_test(self.pair)()
            if self.config.getoption("--rnngrad-power"):
                self.user_properties.append((SHOWN, str(power(self.pair))))
        else:
            self.replay(case)

    def replay(self, text: str) -> None:
        """Check the one case, and show its report also where nothing is wrong."""
        from rnngrad.case import parse_case
        from rnngrad.check.assertion import settle
        from rnngrad.check.pipeline import examined

        case = parse_case(text)
        found = examined(self.pair, case)
        settle(found, case.seed)
        self.user_properties.append((SHOWN, str(found.report)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """Show a finding in its own words, without a traceback of ours."""
        excinfo.traceback = excinfo.traceback.cut(path=__file__)
        return in_words(excinfo.value) or super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the item by its variable."""
        return self.path, None, self.name


def in_words(error: BaseException) -> str | None:
    """Return the message of our own exceptions, or of a group of them; None for anybody else's."""
    from rnngrad.errors import GradientMismatch, InvalidPair, Undecided

    errors = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    if not all(isinstance(one, GradientMismatch | InvalidPair | Undecided) for one in errors):
        return None
    flaky = FLAKY if type(error).__name__.startswith("Flaky") else ""
    return flaky + "\n\n".join(f"{type(one).__name__}: {one}" for one in errors)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Show a test made by `gradient_test` in words too: it has no line of the user's to show."""
    report = yield
    ours = hasattr(getattr(item, "obj", None), "rnngrad_pair")
    if call.excinfo is not None and (ours or type(call.excinfo.value).__name__ == "Undecided"):
        report.longrepr = in_words(call.excinfo.value) or report.longrepr
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Count the checks that a test makes; the counts travel with its report, and too few decided ones fail it."""
    drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", isinstance(item, PairItem))
    with collecting() as tallies, trusting() if drawn else nullcontext():
        try:
            outcome = yield
        except KeyboardInterrupt:
            item.config.stash[CUT] = list(tallies.values())
            raise
        finally:
            item.user_properties.extend((PROPERTY, json.dumps(tally)) for tally in tallies.values())
    short = shortfall(tallies, float(item.config.getini(SHARE)))
    if short is not None:
        from rnngrad.errors import Undecided

        raise Undecided(f"{short}\nthe share is the ini option {SHARE}")
    return outcome


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """End the run with the table of what was decided, and write it where GitHub shows it."""
    if hasattr(terminalreporter.config, "workerinput"):
        return  # pytest-xdist: the controller has what all workers found
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    found = [(key, value) for report in reports for key, value in getattr(report, "user_properties", [])]
    for text in (value for key, value in found if key == SHOWN):
        terminalreporter.write_line(text)
    tallies = [json.loads(value) for key, value in found if key == PROPERTY]
    tallies += terminalreporter.config.stash.get(CUT, [])
    if not tallies:
        return
    from rnngrad.report import summary

    terminalreporter.section("gradients", sep="-")
    terminalreporter.write_line(summary.text(tallies))
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(summary.markdown(tallies))
