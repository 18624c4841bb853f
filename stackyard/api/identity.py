# SPDX-License-Identifier: Apache-2.0
"""Who asks: from what keystonemiddleware put into the request's environment to a `Caller`.

keystonemiddleware removes such headers when a client sends them, so nobody can claim to be somebody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.api.trusted import HOME
from stackyard.model import errors
from stackyard.model.records import Caller

TENANT_ROLES = frozenset({"member", "reader"})
"""What counts of the roles that a trusted Keystone gives: any other may mean more here than it does there."""


def caller(environ: Mapping[str, Any]) -> Caller:
    """Return the caller; raises Unauthenticated without a valid token, Forbidden when it is for no project."""
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        raise errors.Unauthenticated("The request you have made requires authentication.")
    project = environ.get("HTTP_X_PROJECT_ID")
    if not project:
        raise errors.Forbidden("the token is for no project; ask Keystone for one that is scoped to a project")
    roles = frozenset(filter(None, environ.get("HTTP_X_ROLES", "").lower().split(",")))
    return Caller(
        user_id=environ.get("HTTP_X_USER_ID", ""),
        project_id=project,
        roles=roles & TENANT_ROLES if HOME in environ else roles,
        project_name=environ.get("HTTP_X_PROJECT_NAME", ""),
        user_name=environ.get("HTTP_X_USER_NAME", ""),
        request_id=request_id(environ),
    )


def nobody(environ: Mapping[str, Any]) -> Caller:
    """Return the caller of a public route."""
    return Caller(user_id="", project_id="", request_id=request_id(environ))


def request_id(environ: Mapping[str, Any]) -> str:
    """Return the request's id (`req-…`), given by the pipeline."""
    return str(environ.get("openstack.request_id", ""))
