#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the tree of a minimal Debian as a tar archive to standard output. Used where no image registry answers.
# Its apt sources are mmdebstrap's own defaults; nothing of the building host stays in the tree.
set -eu
# Of the two packages that stand for a merged /usr, one draws in all of Perl: refuse that one.
pin='Package: usrmerge\nPin: release *\nPin-Priority: -1\n'
exec mmdebstrap --quiet --variant=minbase --include=usr-is-merged,ca-certificates,tini \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='force-unsafe-io' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
    --setup-hook="printf '$pin' > \"\$1/etc/apt/preferences.d/merged\"" \
    --customize-hook='rm -f "$1/etc/apt/preferences.d/merged" "$1/etc/resolv.conf" "$1/etc/hostname"' \
    bookworm -
