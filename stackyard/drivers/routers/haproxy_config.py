# SPDX-License-Identifier: Apache-2.0
"""HAProxy's configuration as text: the base that `stackyard up` writes, and the section of each host.

Used by the router driver only; writes nothing and talks to nobody.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping

from stackyard.model.applications import Maintenance
from stackyard.model.ports import Route, TLSPair

PENDING = "pending"
"""The mark of a section that HAProxy has not taken up yet."""
MAX_URL, MAX_HEADERS, MAX_HEADER_BYTES = 8192, 100, 16384
MAX_PAGE = 24 * 1024
RETRY_AFTER = 60
_MARK = re.compile(r"^# mark (\S*)(?: owner (\S+))?$")
_SERVER = "    server "
_STYLE = "body{font:1.1em/1.6 system-ui,sans-serif;max-width:36em;margin:18vh auto;padding:0 1em;color:#222}"

BASE = """\
# Written by `stackyard up`; changes are lost.
global
    log stdout format raw local0 warning
    maxconn 4000
    # Room for the largest header that is allowed, so that one beyond gets a proper answer.
    tune.bufsize 32768
    tune.http.maxhdr 256
    hard-stop-after 30m
    stats socket unix@run/admin.sock mode 600 level admin expose-fd listeners
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
# Access logs wait here for their reader, and are lost rather than slow a request down.
ring access
    format raw
    maxlen 12288
    size 2097152
    timeout connect 2s
    timeout server 10s
    server reader unix@run/access.sock
defaults
    mode http
    log global
    balance leastconn
    timeout connect 2s
    timeout queue 10s
    timeout client 5m
    timeout server 5m
    timeout tunnel 1h
    timeout http-request 15s
    timeout http-keep-alive 60s
    # A connection for each request to a replica: a kept one may be closed in the instant that it is used.
    option http-server-close
    # Clients' kept connections survive a reload until their next answer, so that none meets a closed door.
    option idle-close-on-response
    option redispatch 1
    retries 4
    retry-on conn-failure empty-response
    http-error status 503 content-type text/plain string "No replica of this application is ready: none takes connections. See: stackyard ps APP\\n"
    http-error status 502 content-type text/plain string "The replica broke off before it answered. See: stackyard logs APP\\n"
    http-error status 504 content-type text/plain string "The replica took too long to answer. See: stackyard logs APP\\n"
frontend apps
    bind {address}
    {tls}
    no log
    option dontlognull
    log ring@access len 12288 format raw local0 info
    log-format '{log}'
    http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)
    http-request set-var(txn.path) path
    http-request set-var(txn.tls) str({tls_suffix})
    http-request return status 414 content-type text/plain string "The URL is longer than {url} bytes.\\n" if {{ url,length gt {url} }}
    http-request return status 431 content-type text/plain string "The request has more than {headers} headers.\\n" if {{ req.fhdr_cnt gt {headers} }}
    http-request return status 431 content-type text/plain string "The request's headers have more than {header_kib} KiB.\\n" if {{ req.hdrs,length gt {header_bytes} }}
    # A replica that is stopping may break off unanswered: what only reads may be asked of another.
    http-request disable-l7-retry unless METH_GET
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    use_backend %[var(txn.host)]
    default_backend _unknown
backend _unknown
    acl html req.hdr(accept) -m sub text/html
    http-request set-var(txn.shown) "var(txn.host),regsub('[^a-z0-9.-]','?',g)"
    http-request return status 404 content-type "text/html; charset=utf-8" lf-string "{unknown_page}" if html
    http-request return status 404 content-type text/plain lf-string "No application is served at %[var(txn.shown)]. See: stackyard apps\\n"
"""  # noqa: E501

LOG = (
    '{"at":%[date(0,us)],"owner":"%[var(txn.owner)]","method":"%HM",'
    '"path":"%[var(txn.path),json(utf8ps)]","status":%ST,"bytes":%B,"ms":%Ta,"client":"%[src]","replica":"%s",'
    '"proto":"%HV","tls":"%sslv","end":"%ts"}'
)


@dataclasses.dataclass(frozen=True)
class Listen:
    """Where HAProxy serves: `host`, `port` for HTTP and `tls_port` for HTTPS, with `pair` for unknown names."""

    host: str
    port: int
    tls_port: int = 0
    pair: TLSPair | None = None


@dataclasses.dataclass(frozen=True)
class Section:
    """A host's file: the mark that it was made of, its owner, its head (all but servers)."""

    mark: str = ""
    owner: str = ""
    head: str = ""


def base(listen: Listen) -> str:
    """Return the base configuration."""
    tls = listen.tls_port and listen.pair
    bind = f"bind {_at(listen.host, listen.tls_port)} ssl crt-list certs.list alpn h2,http/1.1"
    return BASE.format(
        address=_at(listen.host, listen.port),
        tls=bind if tls else "# no HTTPS",
        tls_suffix="" if not tls or listen.tls_port == 443 else f":{listen.tls_port}",
        log=LOG,
        url=MAX_URL,
        headers=MAX_HEADERS,
        header_bytes=MAX_HEADER_BYTES,
        header_kib=MAX_HEADER_BYTES // 1024,
        unknown_page=_quoted(_page("Not found", "No application is served at %[var(txn.shown)].")),
    )


def head(host: str, route: Route | None) -> str:
    """Return the head of a host's section: what happens to a request before it goes to a server."""
    lines = [f"backend {host}"]
    if route:
        lines.append(f"http-request set-var(txn.owner) str({route.owner})")
    lines += ["acl html req.hdr(accept) -m sub text/html"]
    if route and route.https_only:
        lines.append(
            'http-request redirect location "https://%[var(txn.host)]%[var(txn.tls)]%[pathq]" code 308 if !{ ssl_fc }'
        )
    if route and route.maintenance:
        lines += [_return(f"file pages/{host}.html", "html", "html"), _return(f"file pages/{host}.txt", "plain")]
    lines += _no_replica()
    return "\n    ".join(lines) + "\n"


def section(mark: str, owner: str, head: str, servers: Mapping[str, str]) -> str:
    """Return the whole section as a file."""
    lines = "".join(f"{_SERVER}{name} {address}\n" for name, address in sorted(servers.items()))
    told = f" owner {owner}" if owner else ""
    return f"# mark {mark}{told}\n{head}{lines}"


def parsed(text: str) -> Section:
    """Return a section from its file; one of before there were marks has none."""
    lines = text.splitlines(keepends=True)
    found = _MARK.match(lines[0].rstrip("\n")) if lines else None
    rest = lines[1:] if found else lines
    kept = "".join(line for line in rest if not line.startswith(_SERVER))
    return Section(found[1] if found else "", found[2] or "" if found else "", kept)


def pages(maintenance: Maintenance) -> tuple[str, str]:
    """Return what is told in maintenance: HTML and plain text."""
    text = maintenance.text or "This application is being maintained. It will be back soon."
    return maintenance.page or _page("Under maintenance", html.escape(text)) + "\n", f"{text}\n"


def _no_replica() -> list[str]:
    """Return what tells why there is no replica; not by `nbsrv`, which is 0 in a process that a reload left over."""
    words = "%[var(txn.host)] has no replica that is ready: %[var(txn.note)]."
    page = _quoted(_page("Not ready", words))
    return [
        "http-request set-var(txn.note) var(txn.host),map_str(maps/notes.map)",
        "acl noted var(txn.note) -m found",
        _return(f'lf-string "{page}"', "html", "noted html", retry=5),
        _return(f'lf-string "{words} See: stackyard ps APP\\n"', "plain", "noted", retry=5),
    ]


def _return(what: str, kind: str, condition: str = "", retry: int = RETRY_AFTER) -> str:
    words = f'http-request return status 503 content-type "text/{kind}; charset=utf-8" {what}'
    words += f" hdr retry-after {retry} hdr cache-control no-store"
    return f"{words} if {condition}" if condition else words


def _page(title: str, words: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1><p>{words}</p></html>"
    )


def _quoted(text: str) -> str:
    """Return text for between double quotes; a `%` that begins no variable is doubled by whoever writes it."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
