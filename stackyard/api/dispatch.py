# SPDX-License-Identifier: Apache-2.0
"""From a call to a reply: the five moves that every request of every family makes, in one place.

Version, schema, look-up, policy, handler. `http` calls this; it knows no web framework. Since policy and
look-up are in the table of routes, no handler can forget them.
"""

from __future__ import annotations

import dataclasses
import functools

from stackyard.api import validation
from stackyard.api.call import Call, Family, Reply, Route
from stackyard.api.faults import Fault, of
from stackyard.api.policy import Policy
from stackyard.model import errors


def answer(policy: Policy, family: Family, route: Route, call: Call) -> Reply:
    """Return the handler's reply, or the family's words for what was wrong."""
    if call.version < route.since:
        return family.fault(Fault(406))
    try:
        return _perform(policy, route, call)
    except Exception as error:
        return (route.fault or family.fault)(of(error, call.caller.request_id))


def _perform(policy: Policy, route: Route, call: Call) -> Reply:
    for value in call.args.values():
        if not validation.storable(value):
            raise errors.NotFound("a name with a NUL in it could not be found")
    if route.rule is None:
        return route.handler(call)
    call = _known(policy, call)
    if route.find is None:
        # A collection: what the caller may do does not hang on what it sent.
        policy.check(call.caller, route.rule)
        _validate(route, call)
        return route.handler(call)
    _validate(route, call)
    found = dataclasses.replace(call, target=route.find(call))
    policy.check(call.caller, route.rule, found.target)
    return route.handler(found)


def _known(policy: Policy, call: Call) -> Call:
    caller = policy.known(call.caller)
    return dataclasses.replace(call, caller=caller, may=functools.partial(policy.allows, caller))


def _validate(route: Route, call: Call) -> None:
    for name, value in call.query.items():
        if route.query is not None and name not in route.query:
            raise errors.BadInput(f"Unknown argument: {name[:64]}")
        if not validation.storable(value):
            raise errors.BadInput(f"{name[:64]} has a NUL in it")
    if route.schema is not None:
        validation.check(route.schema, call.body)
