# SPDX-License-Identifier: Apache-2.0
"""How a Compose file says that services are backed up, and what is wrong with what it says."""

from __future__ import annotations

import pytest

from stackyard.drivers.builders.compose import parse
from stackyard.model import errors
from stackyard.model.applications import Service
from stackyard.model.backups import BackupRule, Form


def service(backup: str, more: str = 'volumes: ["data:/data"]') -> Service:
    text = f"services: {{db: {{image: redis, {more}, x-stackyard: {backup}}}}}\nvolumes: {{data: }}\n"
    return parse(text, lambda path: "").services[0]


def test_volumes_as_they_are() -> None:
    for said in ("{backup: }", "{backup: {}}"):
        rule = service(said).backup
        assert rule == BackupRule()
        assert rule.form is Form.ARCHIVE
    assert service("{}").backup is None


def test_a_dump_with_all_that_can_be_said() -> None:
    said = "{backup: {command: [dump, --all], restore: 'load -f', check: [check], ready: [ping],"
    rule = service(said + ' schedule: "0  3 * * *", keep: 3}}').backup
    assert rule == BackupRule(("dump", "--all"), ("load", "-f"), ("check",), ("ping",), "0 3 * * *", 3)
    assert rule.form is Form.DUMP


@pytest.mark.parametrize(
    ("said", "more", "words"),
    [
        ("{backup: yes}", "volumes: ['data:/data']", "must be a mapping"),
        ("{backup: {every: day}}", "volumes: ['data:/data']", "unknown key 'every'"),
        ("{backup: {command: dump}}", "volumes: ['data:/data']", "has command without restore"),
        ("{backup: {restore: load}}", "volumes: ['data:/data']", "has restore without command"),
        ("{backup: {command: [], restore: load}}", "volumes: ['data:/data']", "must be a command"),
        ("{backup: {command: [7], restore: load}}", "volumes: ['data:/data']", "must be a command"),
        ('{backup: {check: "a \'b"}}', "volumes: ['data:/data']", "can't be split"),
        ("{backup: {schedule: '@daily'}}", "volumes: ['data:/data']", "is no schedule here"),
        ("{backup: {schedule: 3}}", "volumes: ['data:/data']", "schedule must be a string"),
        ("{backup: {keep: 0}}", "volumes: ['data:/data']", "keep must be a number from 1"),
        ("{backup: {keep: true}}", "volumes: ['data:/data']", "keep must be a number from 1"),
        ("{backup: {}}", "command: serve", "no volumes to archive"),
        ("{backup: {}, group: {}}", "volumes: ['data:/data']", "a group's volumes are no backup"),
        ("{backup: {}, stage: check}", "volumes: ['data:/data']", "does not go on running"),
    ],
)
def test_what_is_wrong(said: str, more: str, words: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        service(said, more)
    assert words in str(caught.value)
    assert "x-stackyard.backup of service 'db'" in str(caught.value)
