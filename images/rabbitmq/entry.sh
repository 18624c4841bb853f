#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes RabbitMQ's configuration from the environment before it starts: users that are added later come too late for
# services that give up at the first refusal.
set -eu
if [ "$1" = rabbitmq-server ]; then
    : "${RABBITMQ_USER:=openstack}" "${RABBITMQ_PASSWORD:?is needed}"
    umask 077
    # Quoted, since a '#' would begin a comment.
    printf "default_user = '%s'\ndefault_pass = '%s'\nlog.console = true\nlog.console.level = warning\nlog.file = false\n" \
        "$RABBITMQ_USER" "$RABBITMQ_PASSWORD" > "$HOME/server.conf"
    export RABBITMQ_CONFIG_FILE="$HOME/server.conf"
    unset RABBITMQ_PASSWORD RABBITMQ_USER
fi
exec "$@"
