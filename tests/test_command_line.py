"""How commands are found, and what each must have. What they print is in test_cli."""

import subprocess
import sys
from pathlib import Path

import pytest

from explorer.command_line.commands.export import WITH_WEIGHTS
from explorer.command_line.program import COMMANDS, main
from explorer.running.export import EXPORTS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_line_in_the_overview_and_help_of_its_own(capsys, name):
    assert main([]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if f"python -m explorer {name}" in line]
    assert len(line) <= 120
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"python -m explorer {name}" in capsys.readouterr().out


GREET = """
USAGE = "greet"
SUMMARY = "says hello"


def run(words):
    print("hello", *words)
"""

PROGRAM = """
import sys
from explorer.command_line import commands

commands.__path__.append(sys.argv.pop(1))
from explorer.command_line.program import main

sys.exit(main())
"""


def test_a_new_command_is_one_new_file(tmp_path):
    (tmp_path / "greet.py").write_text(GREET)
    for words, expected in ((["greet", "you"], "hello you\n"), (["--help"], "says hello")):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
        assert expected in done.stdout


def test_files_with_weights_are_those_that_the_library_makes():
    assert tuple(EXPORTS) == WITH_WEIGHTS


@pytest.mark.parametrize("port", ["0", "65536", "x", "²", "-1", "9" * 5000])
def test_a_port_that_is_none_is_refused(capsys, port):
    assert main(["app", f"--port={port}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "is not a port from 1 to 65535" in err
