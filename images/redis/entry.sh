#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs redis-server as its own user (a mounted folder may belong to root), listening for other containers.
set -eu
if [ "${1#-}" != "$1" ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ]; then
    shift
    set -- redis-server --bind '*' '-::*' --protected-mode no --dir /data "$@"
    if [ "$(id -u)" = 0 ]; then
        find /data \! -user redis -exec chown redis:redis {} +
        exec setpriv --reuid=redis --regid=redis --init-groups "$@"
    fi
fi
exec "$@"
