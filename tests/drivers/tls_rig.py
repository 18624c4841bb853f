# SPDX-License-Identifier: Apache-2.0
"""A TLS handshake between two ends in one process, each with its own pair, strictly verified by both."""

from __future__ import annotations

import pathlib
import socket
import ssl
import threading

from stackyard.model.ports import TLSPair


def context(folder: pathlib.Path, pair: TLSPair, side: ssl._SSLMethod) -> ssl.SSLContext:
    (folder / "cert").write_text(pair.cert + pair.key)
    made = ssl.SSLContext(side)
    made.load_cert_chain(folder / "cert")
    made.load_verify_locations(cadata=pair.ca)
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def handshake(folder: pathlib.Path, server: TLSPair, client: TLSPair, name: str) -> bytes:
    """Return what the client reads after a mutually authenticated handshake."""
    ours, theirs = socket.socketpair()
    serving = context(folder, server, ssl.PROTOCOL_TLS_SERVER)

    def serve() -> None:
        with ours:
            try:
                with serving.wrap_socket(ours, server_side=True) as tls:
                    tls.sendall(b"hello")
            except (ssl.SSLError, OSError):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with theirs, context(folder, client, ssl.PROTOCOL_TLS_CLIENT).wrap_socket(theirs, server_hostname=name) as tls:
            return tls.recv(5)
    finally:
        thread.join()
