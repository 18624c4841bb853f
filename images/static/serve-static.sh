#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Serves $WEB_ROOT (or the folder named) at $PORT.
set -eu
export WEB_ROOT="${1:-$WEB_ROOT}" PORT="${PORT:-8000}"
conf=site
if [ -f "$WEB_ROOT/200.html" ]; then conf=fallback; fi
exec lighttpd -D -f "/etc/lighttpd/$conf.conf"
