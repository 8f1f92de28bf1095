"""`python -m explorer` is the program that is installed as `explorer`."""

import sys

from explorer.command_line.program import main

if __name__ == "__main__":
    sys.exit(main())
