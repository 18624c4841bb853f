#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the services that are named whether they may be upgraded (`nova-status upgrade check` and its like), and all
of the catalog whether they answer; ends with 1 where one says no.

The stage `check` of the packages `openstack` and `identity`; changes nothing.
"""

import concurrent.futures
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import openstack
import yaml
from keystoneauth1 import exceptions

CATALOG = pathlib.Path("/etc/openstack/catalog.yaml")
COMMANDS = {
    "keystone": "keystone-status upgrade check",
    "placement": "placement-status upgrade check",
    "glance": "glance-status upgrade check",
    "neutron": "neutron-status upgrade check",
    "nova": "nova-status upgrade check",
    "heat": "heat-status upgrade check",
}
WARNING = 1
"""The exit code of what may be upgraded, though something should be done before the upgrade after that."""
AT_ONCE = 3
ANSWER_SECONDS = 30
SERVER_ERROR = 500


def main(services: list[str]) -> int:
    """Run all checks; return 1 where one fails."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(answers, name, url) for name, url in addresses().items()]
        asked += [pool.submit(token), *(pool.submit(ready, service) for service in services)]
        good = [each.result() for each in asked]
    return 0 if all(good) else 1


def addresses() -> dict[str, str]:
    """Return the address of each API among the services, by name."""
    catalog = yaml.safe_load(CATALOG.read_text())
    found = {each["name"]: each["internal"] for each in catalog["services"] if "internal" in each}
    # An API's root needs no project.
    return {"keystone": catalog["identity"]["internal"], **{name: url.split("/%(")[0] for name, url in found.items()}}


def answers(name: str, url: str) -> bool:
    """Tell whether an API answers; that it wants a token first is an answer."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError as error:
        return said(f"{name}: {url} does not answer: {error}; see its logs", good=False)
    return said(f"{name}: {url} answers {status}", good=status < SERVER_ERROR)


def token() -> bool:
    """Tell whether Keystone gives the administrator a token."""
    try:
        openstack.connect(cloud="openstack").authorize()
    except (OSError, exceptions.ClientException, openstack.exceptions.SDKException) as error:
        return said(f"keystone: no token for the administrator: {error}", good=False)
    return said("keystone: the administrator gets a token", good=True)


def ready(service: str) -> bool:
    """Tell whether a service's own check lets it be upgraded; what it says is told where it does not."""
    done = subprocess.run(
        COMMANDS[service].split(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode > WARNING:
        print(f"{done.stdout}{done.stderr}", flush=True)
    words = {0: "may be upgraded", WARNING: "may be upgraded, with warnings"}
    return said(
        f"{service}: {words.get(done.returncode, f'{COMMANDS[service]} ended with {done.returncode}')}",
        good=done.returncode <= WARNING,
    )


def said(text: str, *, good: bool) -> bool:
    """Tell a check's end; return whether it is good."""
    print(f"{'ok' if good else 'FAILED'}: {text}", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
