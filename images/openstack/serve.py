#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`openstack-serve PORT PROGRAM [OPTION...]`: uWSGI serves a program, without a request that nobody answers.

The container's process. Whoever is found by a service's name is asked at once, and until the name is forgotten. So the
port is opened only when the program has been loaded: before that, connections are refused, and go to another replica.
And after SIGTERM requests are answered for some seconds more. `serve_app.py` loads PROGRAM in each worker.
"""

import os
import signal
import socket
import subprocess
import sys
import time

APP = "/usr/local/lib/stackyard/serve_app.py"
LEAVING_SECONDS = 3.0
"""So long others may take to find out that a name leads here no more."""


def main(port: str, program: str, *options: str) -> int:
    """Serve until SIGTERM; return uWSGI's exit code."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("0.0.0.0", int(port)))  # workers begin to listen
    number = bound.fileno()
    environment = {**os.environ, "STACKYARD_SERVE_PROGRAM": program, "STACKYARD_SERVE_SOCKET": str(number)}
    command = [
        "uwsgi",
        "--ini",
        "/etc/openstack/api.ini",
        "--http-socket",
        f"fd://{number}",
        "--wsgi-file",
        APP,
        *options,
    ]
    server = subprocess.Popen(command, env=environment, pass_fds=[number])
    bound.close()
    signal.signal(signal.SIGTERM, lambda *_: leave(server))
    return server.wait()


def leave(server: subprocess.Popen) -> None:
    """Go on answering for a while, then finish what was begun."""
    time.sleep(LEAVING_SECONDS)
    server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
