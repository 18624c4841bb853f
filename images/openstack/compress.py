#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compresses Horizon's style sheets and scripts when its image is made, and proves that a page of each theme has them.

django-compressor does so in threads that share templates, and leaves some out at times without a word: here it has one.
"""

import concurrent.futures
import os
import sys

import django
from django.conf import settings
from django.core import management
from django.test import Client


class InOrder(concurrent.futures.ThreadPoolExecutor):
    """An executor with one thread, however many are asked for."""

    def __init__(self, max_workers: int = 1) -> None:
        super().__init__(min(max_workers, 1))


def main() -> None:
    """Ends with an error where a page can't be shown."""
    sys.path.insert(0, "/usr/share/openstack-dashboard")
    os.environ["DJANGO_SETTINGS_MODULE"] = "openstack_dashboard.settings"
    concurrent.futures.ThreadPoolExecutor = InOrder
    django.setup()
    management.call_command("compress", force=True, verbosity=0)
    for theme, *_ in settings.AVAILABLE_THEMES:
        client = Client()
        client.cookies[settings.THEME_COOKIE_NAME] = theme
        status = client.get("/auth/login/").status_code
        if status != 200:
            sys.exit(f"the login page in theme {theme} answers {status}")
        print(f"{theme}: the login page finds what it needs")


if __name__ == "__main__":
    main()
