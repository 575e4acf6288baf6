"""What terminal and page have in common: the usual values, and how it is said what is wrong.

Neither torch nor gradio is imported here: a mistyped option is answered at once.
"""

import argparse
import sys
from contextlib import suppress
from typing import NoReturn

THRESHOLD = 0.5  # the probability from which on a pixel counts, for a model of one class
OPACITY = 0.6  # of the paint over the photo


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse's own would print the usage too."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see {self.prog} --help")
        sys.exit(2)


def complain(words: str) -> None:
    """Say in one line on stderr what is wrong, whatever names of files are in it."""
    if sys.stderr:  # it may be closed
        with suppress(OSError):
            print(f"segdemo: {one_line(words)}", file=sys.stderr, flush=True)


def one_line(words: str) -> str:
    """The same with nothing in it that would end the line or control the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


def in_short(error: OSError) -> str:
    """What the system says, and of which file."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"
