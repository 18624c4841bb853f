# SPDX-License-Identifier: Apache-2.0
"""How large a source tree may be. Asked by what packs, receives, unpacks and builds one, so that all say the same."""

from __future__ import annotations

MAX_FILES = 100_000
"""Files, links and folders together."""
MAX_BYTES = 2 * 1024**3
"""Of all files as they are unpacked; in an archive, with their headers."""
