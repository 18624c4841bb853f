# SPDX-License-Identifier: Apache-2.0
"""Lines of one OpenStack request are found across services: written by oslo.log itself, and by services as they ran."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from oslo_config import cfg
from oslo_context import context
from oslo_log import formatters, log

from stackyard.api.application_deployment.reading import Choice
from stackyard.model import errors
from stackyard.model.logs import LogLine
from stackyard.model.request_ids import Chain, checked


class Service:
    """A service that logs as oslo.log has it, on a container's stderr."""

    def __init__(self, name: str) -> None:
        conf = cfg.ConfigOpts()
        log.register_options(conf)
        conf([], project=name, version="1")
        self.name = name
        self._out = io.StringIO()
        handler = logging.StreamHandler(self._out)
        handler.setFormatter(formatters.ContextFormatter(datefmt=conf.log_date_format, config=conf))
        self.logger = logging.getLogger(f"sytest.{name}")
        self.logger.handlers, self.logger.propagate = [handler], False
        self.logger.setLevel(logging.INFO)

    def lines(self) -> list[LogLine]:
        """Return what was written since the last time."""
        text = self._out.getvalue()
        self._out.truncate(0)
        self._out.seek(0)
        return [line(self.name, each) for each in text.splitlines()]


def line(service: str, text: str) -> LogLine:
    return LogLine("2026-01-01T00:00:00.000000000Z", service, f"{service}.1.abc", "stderr", text)


@pytest.fixture(autouse=True)
def no_context_is_left() -> Iterator[None]:
    yield
    for name in vars(context._request_store).copy():
        delattr(context._request_store, name)


def said(service: Service, message: str, caller: str | None = None) -> tuple[str, list[LogLine]]:
    """Have a service log in the context of a new request that `caller` made; return the request's id and the lines."""
    of = context.RequestContext(global_request_id=caller, overwrite=False)
    service.logger.info(message, extra={"context": of})
    return of.request_id, service.lines()


def shown(request: str, lines: list[LogLine], *, learnt: bool = True) -> list[str]:
    chain = Chain(request)
    if learnt:
        chain.learn(lines)
    return [each.text.split("] ")[-1] for each in lines if chain(each)]


def test_what_services_did_for_each_other_is_one_chain() -> None:
    nova, placement, neutron = Service("nova"), Service("placement"), Service("neutron")
    outer, lines = said(nova, "create server")
    inner, more = said(placement, "candidates", outer)
    _, third = said(neutron, "port", outer)
    _, strange = said(nova, "other")
    lines += more + strange + third
    assert shown(outer, lines) == ["create server", "candidates", "port"]
    assert shown(inner, lines) == ["create server", "candidates", "port"], "the caller's id leads to all the others"
    assert shown(inner, lines, learnt=False) == ["candidates", "port"], "followed lines count from where the link is"


def test_a_traceback_stays_with_its_record_and_not_with_the_next_one() -> None:
    nova = Service("nova")
    ours = context.RequestContext(overwrite=False)
    for of, number in ((ours, 1), (context.RequestContext(overwrite=False), 2)):
        try:
            raise ValueError(f"number {number}")
        except ValueError:
            nova.logger.exception("it broke", extra={"context": of})
    found = shown(ours.request_id, nova.lines())
    assert found[0].startswith("it broke: ValueError: number 1")
    assert "Traceback (most recent call last):" in found[1]
    assert any("raise ValueError" in each for each in found)
    assert not any("number 2" in each for each in found)


def test_tracebacks_of_two_processes_may_be_mixed() -> None:
    request = "req-11111111-2222-3333-4444-555555555555"
    lines = [
        line("nova", f"2026-01-01 00:00:00.001 7 ERROR nova.api [None {request} u p - - - -] broke"),
        line("nova", "2026-01-01 00:00:00.001 8 ERROR nova.api [None req-other u p - - - -] broke, too"),
        line("nova", "2026-01-01 00:00:00.001 7 ERROR nova.api Traceback (most recent call last):"),
        line("nova", "2026-01-01 00:00:00.001 8 ERROR nova.api Traceback (most recent call last): theirs"),
        line("nova", "2026-01-01 00:00:00.001 7 ERROR nova.api [instance: 5] ValueError"),
        line("nova", "2026-01-01 00:00:00.002 7 ERROR nova.api a line of nothing"),
    ]
    chain = Chain(request)
    assert [chain(each) for each in lines] == [True, False, True, False, True, False]


def test_a_message_of_several_lines_is_whole_and_a_web_servers_own_line_is_no_part_of_it() -> None:
    heat = Service("heat")
    request, lines = said(heat, "first\nsecond\n  third")
    lines += [line("heat", "GET /v1/stacks 200 12 bytes 3 ms"), line("glance", "second of another service")]
    assert shown(request, lines) == ["first", "second", "  third"]


def test_ids_that_a_message_only_mentions_are_shown_and_join_nothing() -> None:
    nova = Service("nova")
    request, lines = said(nova, "begun")
    other, told = said(nova, f"placement said no to {request}")
    _, rest = said(nova, "unrelated", other)
    assert shown(request, lines + told + rest) == ["begun", f"placement said no to {request}"]


def test_it_is_one_choice_among_the_others() -> None:
    nova, placement = Service("nova"), Service("placement")
    outer, lines = said(nova, "create server")
    lines += said(placement, "candidates", outer)[1]
    choice = Choice(frozenset({"placement", "glance"}), chain=Chain(outer))
    assert [each.service for each in lines if choice(each)] == ["placement"]


@pytest.mark.parametrize("given", ["", "req-1", "REQ", "req-11111111-2222-3333-4444-55555555555g"])
def test_what_is_no_request_id_is_refused(given: str) -> None:
    with pytest.raises(errors.BadInput):
        checked(given)


def test_an_id_is_found_however_it_is_written() -> None:
    assert checked("req-ABCDEF00-2222-3333-4444-555555555555").islower()


OUTER = "req-142aeed1-9e6e-4831-8b83-bffad76f5b71"
WHO = "8cab6cfb04924294972cfaba907faa8f cfff007f52434f9491803c77ab8389b1 - - default default"
REAL = [
    ("glance", f"GET /v2/schemas/image 200 6083 bytes 8 ms {OUTER}"),
    (
        "neutron",
        f"2026-11-21 18:41:50.491 12 INFO neutron.api.wsgi [{OUTER} req-98b453c6-3a5e-43cf-b4c4-40a0e28e11c8 {WHO}] "
        '10.200.1.17 "GET /v2.0/networks HTTP/1.1" status: 200  len: 881 time: 0.0411382',
    ),
    (
        "nova",
        f"2026-11-21 18:41:53.285 8 INFO nova.api.openstack.requestlog [None {OUTER} {WHO}] 127.0.0.1 "
        '"POST /compute/v2.1/servers" status: 202 len: 377 microversion: 2.96 time: 3.107',
    ),
    ("nova", "POST /v2.1/servers 202 377 bytes 3111 ms -"),
    (
        "placement",
        f"2026-11-21 18:41:53.650 10 INFO placement.requestlog [{OUTER} req-50e34f49-41b1-433c-b9dd-b4ce5c6eb14a {WHO}]"
        ' 10.200.1.20 "GET /allocation_candidates?limit=1000" status: 200 len: 943 microversion: 1.36',
    ),
    (
        "nova-compute",
        f"2026-11-21 18:41:58.976 6 INFO nova.compute.claims [None {OUTER} {WHO}] "
        "[instance: 76efccf3-f1e7-4f62-beff-4a05ad2dd26f] Claim successful on node 8f1c",
    ),
]
"""Lines of OpenStack 2025.1 about one server's creation, and one that is not told apart from others."""


def test_lines_of_real_services_are_found_from_any_of_their_ids() -> None:
    lines = [line(service, text) for service, text in REAL]
    for request in (OUTER, "req-50e34f49-41b1-433c-b9dd-b4ce5c6eb14a"):
        chain = Chain(request)
        chain.learn(lines)
        assert [each.service for each in lines if chain(each)] == [
            "glance",
            "neutron",
            "nova",
            "placement",
            "nova-compute",
        ]
