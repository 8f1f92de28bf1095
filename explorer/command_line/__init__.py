"""The program at the command line: `explorer`, or `python -m explorer`.

A command is one file in `commands`, found by looking: its USAGE and SUMMARY stand in the program's help, its `run`
takes the words after the command's name. It imports torch, if at all, inside `run`.
"""
