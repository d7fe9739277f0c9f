"""Both READMEs are run: their Python as it stands, the failure they show against what is really printed."""

import re
from pathlib import Path

import pytest

from rnngrad.cli import main

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", ROOT / "rnngrad" / "README.md"]


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_the_code_of_a_readme_runs_in_order(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "readme"}
    code = blocks(path, "python")
    assert code
    for block in code:
        exec(compile(block, str(path), "exec"), namespace)
    for name, value in list(namespace.items()):
        if name.startswith("test_"):
            value()


def test_the_failure_that_opens_the_readme_is_what_the_command_prints(pytester, capsys):
    pytester.makepyfile(my_cell=blocks(READMES[0], "python")[0])  # it forgets the module that it imported
    shown = next(block for block in blocks(READMES[0], "text"))
    assert main(["check", "my_cell.py"]) == 1
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize("part", ["rnngrad check", "-m pytest"])
def test_each_set_up_command_is_complete_on_one_line(part):
    commands = re.findall(r"^    (python3 -m venv .*)$", READMES[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 2
    assert sum(command.endswith(part) for command in commands) == 1
