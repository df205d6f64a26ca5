"""The parser of a command that trains nothing."""

import argparse
import re
from typing import NoReturn

from perceptrons.mistakes import fail, nearest


class Parser(argparse.ArgumentParser):
    """argparse's parser, where a mistake costs one line."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"unrecognized arguments: ([^\s=]+)", message):
            fail(f"{found[1]}: no such argument{nearest(found[1], self._option_string_actions)}")
        if found := re.search(r"arguments are required: (\S+)", message):
            fail(f"{found[1]}: missing")
        fail(re.sub("^argument ", "", message))
