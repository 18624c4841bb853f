#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Serves $WEB_ROOT (or the folder named) at $PORT.
set -eu
export WEB_ROOT="${1:-$WEB_ROOT}" PORT="${PORT:-8000}"
exec apache2 -f /etc/apache2/stackyard.conf -D FOREGROUND
