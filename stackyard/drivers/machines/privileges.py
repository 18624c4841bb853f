# SPDX-License-Identifier: Apache-2.0
"""Which capabilities this machine can give to a container that holds an Engine.

Used by the docker machines and by `stackyard.local`; reads /proc only.
"""

from __future__ import annotations

import pathlib

# Kernel numbers, in order: include/uapi/linux/capability.h
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
NODE_CAPABILITIES = (
    *("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_RESOURCE", "NET_RAW", "MKNOD", "SYS_CHROOT", "AUDIT_WRITE"),
    *("IPC_LOCK", "DAC_READ_SEARCH"),
)
"""What an Engine inside a container makes use of, beyond an ordinary container's capabilities."""


def bounding_set(status: str) -> int:
    """Return the capability bounding set, as a bit mask, from the text of a /proc/PID/status."""
    lines = [line for line in status.splitlines() if line.startswith("CapBnd:")]
    return int(lines[0].split()[1], 16) if lines else 0


def may_everything(mask: int, last: int) -> bool:
    """Tell whether the mask holds all capabilities up to number `last`, as a privileged container needs."""
    everything = (1 << (last + 1)) - 1
    return mask & everything == everything


def node_capabilities(mask: int) -> tuple[str, ...]:
    """Return those of `NODE_CAPABILITIES` that the mask holds."""
    return tuple(name for name in NODE_CAPABILITIES if mask & 1 << CAPABILITIES.index(name))


def detect() -> tuple[bool, tuple[str, ...]]:
    """Return (privileged containers can be had, capabilities to give to nodes otherwise) for this machine."""
    mask = bounding_set(pathlib.Path("/proc/self/status").read_text())
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    return may_everything(mask, last), node_capabilities(mask)
