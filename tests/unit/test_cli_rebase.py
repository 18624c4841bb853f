# SPDX-License-Identifier: Apache-2.0
"""What `stackyard rebase` says of an application."""

from __future__ import annotations

from stackyard.cli.rebase import NEWEST, _row


def test_each_outcome_has_its_reason() -> None:
    done = {"status": "DEPLOYMENT_COMPLETE", "status_reason": "", "release": 4}
    assert _row("shop", {**done, "unchanged": False})["reason"] == ""
    assert _row("shop", {**done, "unchanged": True})["reason"] == NEWEST
    failed = _row("shop", {"status": "ERROR", "status_reason": "no stack of ours", "unchanged": False})
    assert (failed["status"], failed["reason"]) == ("ERROR", "no stack of ours")
    assert _row("shop", {"status": "SKIPPED", "status_reason": "push it first"})["reason"] == "push it first"
