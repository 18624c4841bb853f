# SPDX-License-Identifier: Apache-2.0
"""Horizon's settings of this cloud: read after those of the image, and before any that operators add."""

import pathlib

# One key for all replicas: each can read the sessions and forms of the others.
SECRET_KEY = pathlib.Path("/run/secrets/dashboard").read_text().strip()
OPENSTACK_KEYSTONE_URL = "http://keystone:5000/v3"
OPENSTACK_ENDPOINT_TYPE = "internalURL"
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "memcached:11211"}}
# The proxy says whether a browser came by HTTPS.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
