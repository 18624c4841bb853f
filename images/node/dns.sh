#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lets containers inside the node resolve names as the node does.
# The node's resolver is the outer Engine's, on 127.0.0.11 and in the node's network namespace only; containers ask
# 198.18.0.1 (the node's docker0), and that is led on to it.
set -eu

forward() {
    save=$1 tables=$2
    "$save" -t nat 2>/dev/null | sed -n 's/^-A DOCKER_OUTPUT .*-p \(tcp\|udp\) .*--to-destination \(127[0-9.]*:[0-9]*\)$/\1 \2/p' |
        while read -r protocol target; do
            "$tables" -t nat -A PREROUTING -d 198.18.0.1 -p "$protocol" --dport 53 -j DNAT --to-destination "$target"
        done
    "$save" -t nat 2>/dev/null | grep -q -- '-A PREROUTING -d 198.18.0.1/32 .*--dport 53 '
}

# The outer Engine may have written its rules with either of the two kinds of iptables.
forward iptables-nft-save iptables-nft || forward iptables-legacy-save iptables-legacy || {
    echo "the Engine's resolver was not found: containers in this node will not resolve names" >&2
    exit 0
}
echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
