# SPDX-License-Identifier: Apache-2.0
"""What operators lay over configs makes sense for them: it is a template, an INI file, of options that are known.

Called where an overlay is set, and where a push brings other configs under those that are there. Raises only BadInput.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stackyard.drivers.files import ini, options, templates
from stackyard.model.files import File, Overlay


def check_overlay(file: File | None, overlay: Overlay) -> None:
    """Accept a text that can lie over a config (None: one that is not known yet)."""
    text, where = templates.braced(overlay.text), _words(overlay)
    templates.keys(text, where)
    if file is not None and file.options:
        options.check(file.options, text, where)
    elif file is not None and file.ini:
        ini.parse(text, where)


def check_overlays(files: Iterable[File], overlays: Sequence[Overlay]) -> None:
    """Accept overlays that can lie over these configs; those of other configs lie over nothing."""
    configs = {file.name: file for file in files if not file.secret}
    for overlay in overlays:
        if overlay.file in configs:
            check_overlay(configs[overlay.file], overlay)


def _words(overlay: Overlay) -> str:
    of = f" for {overlay.service}" if overlay.service else ""
    return f"{overlay.file}{of}{f' on {overlay.node}' if overlay.node else ''}"
