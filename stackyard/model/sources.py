# SPDX-License-Identifier: Apache-2.0
"""Which git repositories may be fetched: pure rules, asked by intents and by the driver again.

Must not touch the network or the file system.
"""

from __future__ import annotations

import re
import urllib.parse

from stackyard.model import errors

TRANSPORTS = ("https", "http", "ssh", "git")
MAX_LENGTH = 2048
REFUSED_NETWORKS = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "0.0.0.0/8", "::/128")
"""Where clouds keep metadata services, and what no repository is at."""

_SCP_LIKE = re.compile(
    r"(?:(?P<user>[A-Za-z0-9._][A-Za-z0-9._-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^:].*)"
)
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@+#=,-]{0,254}")


def check_repository(url: str) -> str:
    """Return the transport of a git URL (https, http, ssh or git); raises BadInput for any other or a malformed one."""
    if not url or len(url) > MAX_LENGTH or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise errors.BadInput("a repository is a URL of at most 2048 characters without spaces or control characters")
    if url.startswith("-"):
        raise errors.BadInput(f"repository {url!r} looks like an option of git; give a URL")
    if _HELPER.match(url):
        raise _refused(url, url.split("::", 1)[0] + "::")
    if "://" in url:
        return _check_url(url)
    match = _SCP_LIKE.fullmatch(url)
    if match and not match["path"].startswith("-"):
        return "ssh"
    raise errors.BadInput(f"repository {url!r} is a local path or no URL; {_cure()}")


def check_revision(revision: str) -> None:
    """Accept a branch, tag or commit, or nothing (the default branch); raises BadInput for anything git may misread."""
    if not revision:
        return
    if not _REVISION.fullmatch(revision) or ".." in revision or "@{" in revision or "//" in revision:
        raise errors.BadInput(f"revision {revision!r} is no name of a branch, tag or commit")


def without_password(url: str) -> str:
    """Return the URL fit to be shown: passwords and tokens in it are replaced by three stars."""
    return re.sub(r"(https?://)[^/\s]*@", r"\1***@", re.sub(r"(://[^/:@\s]*):[^/\s]*@", r"\1:***@", url))


def _check_url(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise errors.BadInput(f"the repository is no proper URL; {_cure()}") from error
    if parts.scheme not in TRANSPORTS:
        raise _refused(url, parts.scheme + "://")
    if not parts.hostname or not _HOST.fullmatch(_host(parts.netloc)) or port == 0:
        raise errors.BadInput(f"repository {without_password(url)!r} names no proper host; {_cure()}")
    if (parts.username or "").startswith("-"):
        raise errors.BadInput("the user name of a repository must not begin with '-'")
    if not parts.path.strip("/"):
        raise errors.BadInput(f"repository {without_password(url)!r} has no path after the host; {_cure()}")
    return parts.scheme


def _host(netloc: str) -> str:
    return re.sub(r":\d*$", "", netloc.rpartition("@")[2])


def _refused(url: str, transport: str) -> errors.BadInput:
    return errors.BadInput(f"repository {without_password(url)!r}: transport {transport!r} is refused; {_cure()}")


def _cure() -> str:
    return "use https://, http://, ssh:// or git://, or user@host:path"
