# SPDX-License-Identifier: Apache-2.0
"""What this machine has and may do: packages, kernel features.

Used by `stackyard.local` when it brings the platform up; it only asks and installs, it decides nothing.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Sequence

from stackyard.model import errors

SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def path() -> str:
    """Return PATH with the sbin folders, where dockerd is and which a plain shell's may lack."""
    return f"{os.environ.get('PATH', '')}:{SBIN}".lstrip(":")


def has_ipvs() -> bool:
    """Tell whether the kernel has IPVS, which Swarm's virtual IPs and routing mesh need."""
    if pathlib.Path("/proc/net/ip_vs").exists():
        return True
    release = os.uname().release
    lists = [pathlib.Path(f"/lib/modules/{release}/{name}") for name in ("modules.builtin", "modules.dep")]
    if any("/ip_vs.ko" in path.read_text() for path in lists if path.exists()):
        return True
    config = pathlib.Path(f"/boot/config-{release}")
    return config.exists() and "CONFIG_IP_VS=y" in config.read_text()


def mtu() -> int:
    """Return the MTU of the interface of the default route, 1500 if there is none."""
    try:
        routes = pathlib.Path("/proc/net/route").read_text().splitlines()[1:]
        device = next(line.split()[0] for line in routes if line.split()[1] == "00000000")
        return min(1500, int(pathlib.Path(f"/sys/class/net/{device}/mtu").read_text()))
    except (OSError, StopIteration, ValueError):
        return 1500


def apt_install(packages: Sequence[str], commands: Sequence[str], say: Callable[[str], None]) -> None:
    """Install Debian packages unless all `commands` are there; raises Unavailable naming what is missing."""
    missing = [command for command in commands if not shutil.which(command, path=path())]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get", path=path()):
        raise errors.Unavailable(
            f"{', '.join(missing)} not found, and installing needs root and apt-get."
            f" As root on Debian or Ubuntu: apt-get install {' '.join(packages)}"
        )
    say(f"installing {' '.join(packages)}")
    environment = os.environ | {"PATH": path(), "DEBIAN_FRONTEND": "noninteractive"}
    _apt(["update", "-qq"], environment, fatal=False)
    _apt(["install", "-y", "-qq", "--no-install-recommends", *packages], environment, fatal=True)


def _apt(arguments: Sequence[str], environment: dict[str, str], *, fatal: bool) -> None:
    """Run apt-get, waiting for its lock; an `update` that fails for one source may still be good enough."""
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if fatal and done.returncode:
        raise errors.Unavailable(f"{' '.join(command)} failed; its output ends:\n{done.stdout[-1500:]}")
