# SPDX-License-Identifier: Apache-2.0
"""Answers with its arguments (files are read) and what buildpacks left in its environment."""

import http.server
import os
import pathlib
import sys

NAMES = ("TRAIL", "FALLBACK", "ONLY", "PROFILED", "MODE")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        words = [pathlib.Path(word).read_text() if os.path.isfile(word) else word for word in sys.argv[1:]]
        words += [f"{name}={os.environ[name]}" for name in NAMES if name in os.environ]
        body = "\n".join(words).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
