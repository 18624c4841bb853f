#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Begins as root only to own what is mounted (a new volume belongs to root), then goes on as the user mysql.
set -eu
if [ "${1#-}" != "$1" ]; then set -- mariadbd "$@"; fi
[ "$1" = mariadbd ] || exec "$@"
shift
if [ "$(id -u)" = 0 ]; then
    install -d -o mysql -g mysql /run/mysqld /run/stackyard /run/stackyard/group
    find /var/lib/mysql \! -user mysql -exec chown mysql:mysql {} +
    exec setpriv --reuid=mysql --regid=mysql --init-groups python3 /usr/local/lib/stackyard/group.py run "$@"
fi
mkdir -p /run/stackyard/group
exec python3 /usr/local/lib/stackyard/group.py run "$@"
