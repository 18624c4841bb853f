# SPDX-License-Identifier: Apache-2.0
"""Taking an environment's secrets out of the log lines that the API sends. Called where lines are written out."""

from __future__ import annotations

import dataclasses
import time

from stackyard.intents import Intents
from stackyard.model import errors
from stackyard.model.applications import Application
from stackyard.model.logs import LogLine
from stackyard.model.masking import mask, parts

FRESH_SECONDS = 0.2
"""A changed config is known before a container that has it can say anything: starting one takes longer."""


class Hiding:
    """Masks the secrets that an environment has, and those that are set while its log is followed."""

    def __init__(self, intents: Intents, app: Application, environment: str) -> None:
        self._intents = intents
        self._app = app
        self._environment = environment
        self._parts: list[str] = []
        self._generation = -1
        self._looked = 0.0

    def __call__(self, line: LogLine) -> LogLine:
        """Return the line with `****` in place of secrets."""
        if time.monotonic() - self._looked > FRESH_SECONDS:
            self._look()
            self._looked = time.monotonic()
        return dataclasses.replace(line, text=mask(line.text, self._parts)) if self._parts else line

    def _look(self) -> None:
        try:
            of = self._intents.deployments.of(self._app, self._environment)
        except errors.NotFound:  # what is being removed may still say its last words
            return
        if of.generation != self._generation:
            self._parts = parts(self._intents.releases.hidden(of))
            self._generation = of.generation
