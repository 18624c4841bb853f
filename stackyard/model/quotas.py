# SPDX-License-Identifier: Apache-2.0
"""What a project may have: a limit set for it, beside what is in use."""

from __future__ import annotations

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quota:
    """A project's limit of one resource (Magnum: quota). Where none was set, `id` and the times are None.

    `in_use` counts what the project has, those that are being deleted too.
    """

    id: int | None = None
    project_id: str
    resource: str
    hard_limit: int
    in_use: int = 0
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
