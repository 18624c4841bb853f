#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prepares a container to hold a Docker Engine, waits for its certificates and becomes the Engine.
set -eu
TLS=/etc/stackyard/tls

# An unprivileged container sees these read-only; the Engine must write to them.
writable() {
    for folder in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do
        if mountpoint -q "$folder"; then mount -o remount,bind,rw "$folder"; fi
    done
}

# cgroup v2 lets only leaves hold processes: move ours aside, then hand all controllers down.
delegate_cgroups() {
    [ -f /sys/fs/cgroup/cgroup.controllers ] || return 0
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
    sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
}

# Without CAP_SYS_RESOURCE (bit 24) a negative oom_score_adj makes runc fail.
runtime() {
    bounding=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
    if [ $(( 0x$bounding >> 24 & 1 )) -eq 0 ]; then
        echo --add-runtime=clamp-oom=/usr/local/sbin/runc-clamp-oom --default-runtime=clamp-oom
    fi
}

writable
delegate_cgroups
/usr/local/lib/stackyard/dns.sh
until [ -s "$TLS/ca.pem" ] && [ -s "$TLS/cert.pem" ] && [ -s "$TLS/key.pem" ]; do sleep 0.1; done

# A kill may have left pid files, and in a container the same numbers come again.
rm -rf /run/docker.pid /run/docker /run/containerd

# Bridges inside the node take addresses from a range (RFC 2544) that neither the cluster's network nor a site uses.
exec dockerd \
    --host=unix:///run/docker.sock --host=tcp://0.0.0.0:2376 \
    --tlsverify --tlscacert="$TLS/ca.pem" --tlscert="$TLS/cert.pem" --tlskey="$TLS/key.pem" \
    --storage-driver=overlay2 --live-restore=false --userland-proxy=false \
    --log-opt=max-size=10m --log-opt=max-file=3 \
    --bip=198.18.0.1/22 --dns=198.18.0.1 --default-address-pool=base=198.18.128.0/17,size=24 \
    --mtu="$(cat /sys/class/net/eth0/mtu 2>/dev/null || echo 1500)" \
    $(runtime) "$@"
