"""The dashboard in a browser, from the files that a wheel installed or from the repository."""

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from explorer.command_line.parser import Parser
from explorer.command_line.program import CommandError

USAGE = "app [--port N]"
SUMMARY = "the dashboard in a browser"

PACKAGE = Path(__file__).parents[2]
FOLDERS = (PACKAGE / "_app", PACKAGE.parent)  # where server.py is once installed, and where in the repository


def run(words: Sequence[str]) -> None:
    parser = Parser("app", "The dashboard, served until Ctrl-C. Streamlit's own options may follow.")
    parser.add_argument("--port", type=port, default=8501, metavar="N", help="where it listens (default: 8501)")
    arguments, others = parser.parse_known_args(words)
    folder = next((folder for folder in FOLDERS if (folder / "server.py").is_file()), None)
    if folder is None or find_spec("streamlit") is None:
        raise CommandError("The app is not installed with the library here; `pip install .` in the repository does it.")
    os.chdir(folder)  # whose .streamlit/config.toml holds, and whose icon is found
    sys.argv = ["streamlit", "run", "server.py", "--server.port", str(arguments.port), *others]
    runpy.run_module("streamlit", run_name="__main__")


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port from 1 to 65535")
    return int(text)
