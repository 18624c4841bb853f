# SPDX-License-Identifier: Apache-2.0
"""Turns what goes wrong between us and a Docker Engine into the product's own errors.

Used by the drivers that call an Engine; it decides only whether trying again can help.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import docker.errors
import requests
import urllib3

from stackyard.model import errors

FINAL = (400, 403, 404, 406)
"""Answers by which an Engine refuses for good; 409 is a matter of order and 5xx of the moment."""

SILENT = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError)


def status(error: BaseException) -> int:
    """Return the HTTP status of the Engine's answer, 0 where there was none."""
    return int(error.status_code or 0) if isinstance(error, docker.errors.APIError) else 0


def words(error: BaseException) -> str:
    """Return the Engine's own words, else the error's."""
    return str(getattr(error, "explanation", None) or error)


@contextlib.contextmanager
def plainly(task: str) -> Iterator[None]:
    """Raise GiveUp for what an Engine refuses for good and Unavailable for all else, saying which `task` failed."""
    try:
        yield
    except docker.errors.APIError as error:
        kind = errors.GiveUp if status(error) in FINAL else errors.Unavailable
        raise kind(f"{task}: {words(error)}") from error
    except SILENT as error:
        raise errors.Unavailable(f"{task}: the Engine does not answer ({error})") from error
