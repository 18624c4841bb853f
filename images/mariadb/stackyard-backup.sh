#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How this image is backed up (docs/backups.md): dump, restore, check, ready. Run as root, whom the server knows by its
# socket. A dump has the databases of users, and accounts as statements: the server's own tables are not for copying,
# least of all into a Galera group, which does not replicate them.
set -eu
socket=/run/mysqld/mysqld.sock
ours="'mysql', 'information_schema', 'performance_schema', 'sys'"

dump() {
    names=$(mariadb --no-defaults --socket=$socket -N -B \
        -e "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ($ours)")
    # Accounts that are there keep their passwords, which may have been changed since: `GRANT ... IDENTIFIED` sets them.
    users=$(mariadb-dump --no-defaults --socket=$socket --system=users --insert-ignore)
    word="[a-z0-9_]+( (USING|AS) '[^']*')?"
    printf '%s\n' "$users" \
        | sed -E "/^GRANT /s/ IDENTIFIED (BY PASSWORD '[^']*'|VIA $word( OR $word)*)//"
    [ -n "$names" ] || return 0
    set -f
    IFS='
'
    # shellcheck disable=SC2086
    mariadb-dump --no-defaults --socket=$socket --single-transaction --quick --hex-blob --default-character-set=utf8mb4 \
        --routines --events --triggers --add-drop-database --databases $names
}

check() {
    said=$(mariadb-check --no-defaults --socket=$socket --all-databases --silent)
    [ -z "$said" ] || { echo "$said" >&2; exit 1; }
}

case "${1:-}" in
    dump) dump ;;
    restore) exec mariadb --no-defaults --socket=$socket --default-character-set=utf8mb4 --binary-mode ;;
    check) check ;;
    ready) exec mariadb --no-defaults --socket=$socket --connect-timeout=5 -e "SELECT 1" ;;
    *) echo "usage: stackyard-backup dump|restore|check|ready" >&2; exit 2 ;;
esac
