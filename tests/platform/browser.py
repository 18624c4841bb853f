# SPDX-License-Identifier: Apache-2.0
"""A real browser for the tests: Debian's Chromium without a window, led by its own driver."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

PAGE_SECONDS = 60


@contextlib.contextmanager
def browser(folder: pathlib.Path) -> Iterator[webdriver.Chrome]:
    """Give a browser that keeps its profile in `folder`; it speaks with nothing but what pages name."""
    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium")
    for word in (
        "--headless=new",
        "--no-sandbox",  # tests run as root, under which there is none
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--disable-background-networking",
        "--no-first-run",
        "--window-size=1400,1000",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(word)
    made = webdriver.Chrome(options=options, service=Service(_program("chromedriver")))
    try:
        made.set_page_load_timeout(PAGE_SECONDS)
        yield made
    finally:
        made.quit()


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing here: tools/bootstrap.sh --openstack installs it"
    return found
