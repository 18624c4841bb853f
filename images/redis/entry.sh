#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs redis-server as its own user (a mounted folder may belong to root), listening for other containers unless a
# configuration file says otherwise.
set -eu
if [ "${1#-}" != "$1" ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ]; then
    shift
    case "${1:-}" in
        *.conf | -v | --version | -h | --help) ;;
        *) set -- /etc/redis/container.conf "$@" ;;
    esac
    set -- redis-server "$@"
    if [ "$(id -u)" = 0 ]; then
        find /data \! -user redis -exec chown redis:redis {} +
        exec setpriv --reuid=redis --regid=redis --init-groups "$@"
    fi
fi
exec "$@"
