#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one command of OpenStack's with its options from the environment; every container of the image begins here.

oslo.config reads OS_GROUP__OPTION from the environment before any file. `${NAME}` in such a value stands for the
variable NAME, so that a Compose file can say where a secret goes without knowing it. Keystone's keys become files.
"""

import os
import pathlib
import re
import string
import sys

OPTION = re.compile(r"OS_[A-Z0-9_]+__[A-Z0-9_]+")
KEYS = re.compile(r"(FERNET|CREDENTIAL)_KEY_([0-9])")
KEYSTONE = pathlib.Path("/etc/keystone")


def main(command: list[str]) -> None:
    """Become the command."""
    environment = dict(os.environ)
    for name, value in environment.items():
        if OPTION.fullmatch(name) and "$" in value:
            os.environ[name] = filled(name, value, environment)
    write_keys(environment)
    if not command:
        sys.exit("name the command to run, for example: keystone-manage --version")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} can't be run: {error.strerror}")


def filled(name: str, value: str, environment: dict[str, str]) -> str:
    """Return an option's value with its references put in; ends the program where one is not set."""
    try:
        return string.Template(value).substitute(environment)
    except (KeyError, ValueError) as error:
        sys.exit(f"{name} refers to {error}, which is not set")


def write_keys(environment: dict[str, str]) -> None:
    """Write Keystone's key repositories where this container's user may: 0 is the staged key, the highest signs."""
    for name, value in environment.items():
        found = KEYS.fullmatch(name)
        folder = KEYSTONE / f"{found[1].lower()}-keys" if found else KEYSTONE
        if found and os.access(folder, os.W_OK):
            with open(os.open(folder / found[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(value)


if __name__ == "__main__":
    main(sys.argv[1:])
