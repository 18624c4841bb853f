# SPDX-License-Identifier: Apache-2.0
"""Serves a WSGI application with gunicorn: `python -m stackyard.local.serve NAME MODULE:ATTRIBUTE HOST:PORT THREADS`.

Run by the supervisor for Keystone and for the API: one process with native threads each, and gunicorn's master,
which starts it anew when it dies or hangs. It hides its own arguments, since applications that use oslo.config
(Keystone) would take them for theirs.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from stackyard.model import errors

GRACE_SECONDS = 5


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with settings from our own command line only."""

    def __init__(self, target: str, settings: dict[str, Any]) -> None:
        self._target, self._settings = target, settings
        super().__init__()

    def load_config(self) -> None:
        """Take over the settings. Called by gunicorn."""
        for key, value in self._settings.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        """Import the application, in the worker process. Called by gunicorn."""
        module, attribute = self._target.split(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except errors.StackyardError as error:  # wrong options or policy: a plain line, and no attempt again
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(Arbiter.APP_LOAD_ERROR) from None


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    name, target, address, threads = arguments
    sys.argv = [name]
    settings = {
        "bind": address,
        "proc_name": name,
        "worker_class": "gthread",
        "workers": 1,
        "threads": int(threads),
        "keepalive": 75,
        "timeout": 60,
        "graceful_timeout": GRACE_SECONDS,
        "control_socket_disable": True,
    }
    Server(target, settings).run()


if __name__ == "__main__":
    main(sys.argv[1:])
