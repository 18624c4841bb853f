# SPDX-License-Identifier: Apache-2.0
"""Trusts: Keystones that run as applications, whose users this platform serves like its own."""

from __future__ import annotations

import dataclasses
import datetime

from stackyard.model.records import new_id, utcnow


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trust:
    """The Keystone of an application, at `auth_url`; tokens are validated there as `username`.

    `password_key` names the key of the application's config with the password, so that a new one counts at once.
    `own_ca`: its certificate is one of the platform's own authority.
    """

    id: str = dataclasses.field(default_factory=new_id)
    project_id: str
    app_id: str
    auth_url: str
    username: str
    password_key: str
    own_ca: bool = False
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)
