# SPDX-License-Identifier: Apache-2.0
"""Answers with a version, signed by a package of requirements.txt."""

import http.server
import os

import itsdangerous

VERSION = "one"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = itsdangerous.Signer("key").sign(f"python {VERSION}").rpartition(b".")[0]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
