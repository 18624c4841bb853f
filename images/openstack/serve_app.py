# SPDX-License-Identifier: Apache-2.0
"""What a worker of uWSGI serves: the program that the environment names; once it is loaded, the port is opened.

Loaded by uWSGI, which `serve.py` begins with a socket that is bound and not listened on.
"""

import importlib.machinery
import importlib.util
import os
import socket

BACKLOG = 128


def loaded(path: str):
    """Return the WSGI application of a program."""
    loader = importlib.machinery.SourceFileLoader("served", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("served", loader))
    loader.exec_module(module)
    return module.application


def listen(number: int) -> None:
    """Begin to take connections on a socket that others have, too."""
    shared = socket.socket(fileno=number)
    shared.listen(BACKLOG)
    shared.detach()


application = loaded(os.environ["STACKYARD_SERVE_PROGRAM"])
listen(int(os.environ["STACKYARD_SERVE_SOCKET"]))
