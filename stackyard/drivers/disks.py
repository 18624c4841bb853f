# SPDX-License-Identifier: Apache-2.0
"""What survives a loss of power. Used by drivers that keep files under names."""

from __future__ import annotations

import os


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make what was named in a folder stay named (fsync(2) of the folder itself)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
