#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# runc for hosts without CAP_SYS_RESOURCE: a negative oom_score_adj becomes 0, then runc does the rest.
bundle=.
previous=
for word in "$@"; do
    case "$previous" in --bundle | -b) bundle=$word ;; esac
    previous=$word
done
if [ -f "$bundle/config.json" ]; then
    sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
fi
exec runc "$@"
