#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the tree of a minimal Debian trixie as a tar archive to standard output. Used where no image registry answers.
# Its apt sources are mmdebstrap's own defaults; nothing of the building host stays in the tree.
set -eu
exec mmdebstrap --quiet --variant=minbase --include=ca-certificates,tini \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='force-unsafe-io' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
    trixie -
