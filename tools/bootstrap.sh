#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make the virtual environment that everything else runs in, and see to the few programs that it needs.
#
#   tools/bootstrap.sh          what `make demo` needs
#   tools/bootstrap.sh --test   also the Debian packages that the tests start servers from
#   tools/bootstrap.sh --openstack  also the browser that its dashboard is looked at with
#   tools/bootstrap.sh --oracle     also Magnum itself, in .venv-oracle
#   tools/bootstrap.sh --tempest    also OpenStack's own tests of its services, in .venv-tempest
#
# Can be run at any time and killed at any time: done work is recognised, half-done work is done again.
# Where packages come from is decided by pip's and apt's own configuration on this host.
set -eu
cd "$(dirname "$0")/.."

TEST_COMMANDS='dockerd mmdebstrap mariadbd mariadb-install-db my_print_defaults pg_ctl'
EXTRAS='.[local,mariadb,postgresql,test]'
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '%s %s\n' '-' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

# install PACKAGE... : by apt as root; anyone else is told what to do.
install_packages() {
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
        fail "missing here: $*. As root on Debian 12 or newer run: apt-get install $*, then try again"
    fi
    say "installing $*"
    apt-get -o DPkg::Lock::Timeout=300 -qq update >&2 9<&- || say 'apt-get update failed; going on with the lists there are'
    case " $* " in *' postgresql '*) no_database_of_its_own ;; esac
    DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends \
        install "$@" >&2 </dev/null 9<&- || fail "apt-get could not install $*; its words are above"
}

# The tests start servers in folders of their own: the package need not make and start one for the whole machine.
no_database_of_its_own() {
    settings=/etc/postgresql-common/createcluster.conf
    [ ! -e "$settings" ] || return 0
    mkdir -p "$(dirname "$settings")"
    echo 'create_main_cluster = false' >"$settings"
}

# The first Python that is new enough and can make virtual environments.
find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

package_of() {
    case $1 in
        dockerd) echo docker.io ;;
        mariadbd | mariadb-install-db) echo mariadb-server-core ;;
        my_print_defaults) echo mariadb-client-core ;;
        pg_ctl) echo postgresql ;;
        chromedriver) echo chromium-driver ;;
        *) echo "$1" ;;
    esac
}

# Servers of PostgreSQL stay outside of PATH on Debian.
have_program() { have "$1" || ls /usr/lib/postgresql/*/bin/"$1" >/dev/null 2>&1; }

missing_packages() {
    for name in "$@"; do
        have_program "$name" || package_of "$name"
    done
}

ensure_programs() {
    missing=$(missing_packages git curl "$@" | sort -u | tr '\n' ' ')
    find_python >/dev/null || missing="$missing python3 python3-venv"
    missing=$(echo $missing)
    # shellcheck disable=SC2086  # a list of words
    [ -z "$missing" ] || install_packages $missing
    find_python >/dev/null || fail "Python 3.11 or newer with its venv module is needed, $(python3 --version 2>&1) is here"
}

# What an environment depends on: the files that name packages, the interpreter, and where it lies (scripts hold the path).
wanted_stamp() {
    python=$1
    shift
    { cat "$@"; "$python" -c 'import sys; print(sys.version)'; pwd; } | sha256sum | cut -d' ' -f1
}

# ensure_environment FOLDER CONSTRAINTS WHAT-PIP-INSTALLS... : make it unless it is there as it should be.
ensure_environment() {
    folder=$1 constraints=$2
    shift 2
    python=$(find_python)
    wanted=$(wanted_stamp "$python" pyproject.toml "$constraints")
    [ "$(cat "$folder/stamp" 2>/dev/null)" != "$wanted" ] || return 0
    say "making the virtual environment $folder; a minute or two"
    # An environment that pip was killed in can't be trusted: begin anew.
    if [ -e "$folder/installing" ] || ! "$folder/bin/python" -c 'import pip' 2>/dev/null; then
        "$python" -m venv --clear "$folder"
    fi
    : >"$folder/installing"
    "$folder/bin/python" -m pip install --quiet --no-input -c "$constraints" --no-compile "$@" >&2 ||
        fail "pip could not install $*; its words are above (proxy, index and certificates are pip's own configuration: pip config list)"
    printf '%s\n' "$wanted" >"$folder/stamp"
    rm -f "$folder/installing"
}

# One at a time: the lock is on this very file, and also held by a pip that outlives a killed run.
exec 9<tools/bootstrap.sh
if have flock; then flock 9; fi

# shellcheck disable=SC2086  # a list of words
case ${1-} in
    --test | --tempest) ensure_programs $TEST_COMMANDS ;;
    --openstack) ensure_programs $TEST_COMMANDS chromium chromedriver ;;
    '' | --oracle) ensure_programs ;;
    *) fail "unknown argument $1; there are: --test --openstack --oracle --tempest" ;;
esac
ensure_environment .venv constraints.txt -e "$EXTRAS"
case ${1-} in
    --oracle) ensure_environment .venv-oracle constraints-oracle.txt magnum gunicorn ;;
    --tempest) ensure_environment .venv-tempest constraints-tempest.txt tempest magnum-tempest-plugin heat-tempest-plugin ;;
esac
