# SPDX-License-Identifier: Apache-2.0
"""Horizon's settings in this image, read as its local_settings.py: what must be so wherever a container of it runs.

Where Keystone is, where sessions are kept, and the key that all replicas share come from a file that is put into
/etc/openstack-dashboard/local_settings.d; it is read after this one.
"""

import secrets

DEBUG = False
WEBROOT = "/dashboard/"
# Style sheets and scripts were compressed when the image was made: no container does it again.
STATIC_ROOT = "/var/lib/openstack-dashboard/static/"
COMPRESS_OFFLINE = True
# Good for the making of the image only.
SECRET_KEY = secrets.token_urlsafe(48)
# Until a cloud's own settings name a cache that all replicas share.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# Which names lead here is decided by the proxy in front; checks come by address.
ALLOWED_HOSTS = ["*"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
