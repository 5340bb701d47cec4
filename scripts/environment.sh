# shellcheck shell=bash
# Sourced by scripts/serve, scripts/test and their like: makes the virtual environment that they run in.
#
# VENV    where it is; default: .venv in the checkout
# PYTHON  the Python to make it from; default: the newest python3 on PATH that fits
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
stop() {
    say "$@"
    exit 1
}

# True if "$1" runs and is new enough. (A name on PATH may be a shim without a Python behind it.)
is_suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null </dev/null
}

# Prints the newest Python that fits and can make virtual environments.
find_python() {
    local candidate incomplete='' candidates=(python3.{15..11} python3)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        is_suitable "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null </dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
        incomplete=${incomplete:-$candidate}
    done
    if [[ -n $incomplete ]]; then
        stop "$incomplete cannot make virtual environments. On Debian and Ubuntu:" \
            "apt-get install python3-venv"
    elif [[ -n ${PYTHON:-} ]]; then
        stop "PYTHON=$PYTHON does not run, or is older than Python 3.11"
    fi
    stop "no Python 3.11 or newer on PATH. Install one, or name it: PYTHON=/path/to/python3"
}

# True if the environment was made to its end, here (its programs name their own path), and is of
# the PYTHON asked for.
is_usable() {
    [[ $(cat "$venv/.made-at" 2>/dev/null) == "$venv" ]] &&
        is_suitable "$venv/bin/python" &&
        [[ -z ${PYTHON:-} || $("$PYTHON" --version 2>&1) == "$("$venv/bin/python" --version)" ]]
}

# Makes the environment anew. It removes only what it made itself: that has a file .made-at, empty
# until the environment is complete.
make_venv() {
    local python
    python=$(find_python)
    if [[ -e $venv/.made-at ]]; then
        rm -rf "$venv"
    elif [[ -e $venv && -n $(ls -A "$venv") ]]; then
        stop "$venv was not made by this script; remove it, or name another place with VENV"
    fi
    say "making $venv with $("$python" --version)"
    mkdir -p "$venv"
    : >"$venv/.made-at"
    "$python" -m venv "$venv"
    printf '%s\n' "$venv" >"$venv/.made-at"
}

pip_install() {
    "$venv/bin/python" -m pip --disable-pip-version-check install -qq --no-input "$@"
}

# once NAME FILE… -- COMMAND…: runs the command unless it has run for these very FILEs.
once() {
    local stamp=$venv/.installed-$1 files=()
    shift
    while [[ $1 != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    [[ $(cat "$stamp" 2>/dev/null) != "$(cat "${files[@]}")" ]] || return 0
    say "installing from ${files[0]}"
    rm -f "$stamp"
    "$@"
    cat "${files[@]}" >"$stamp"
}

install_awaitd() {
    pip_install --require-hashes --requirement "$root/requirements.lock"
    pip_install --no-index --no-deps --no-build-isolation --editable "$root"
}

install_test_tools() {
    pip_install --require-hashes --requirement "$root/tests/requirements.lock"
}

install_bench_tools() {
    pip_install --require-hashes --requirement "$root/benchmarks/requirements.lock"
}

# Into an environment and a node_modules of their own: what makes clients of the API.
install_client_tools() {
    local tools=$venv/clients
    "$venv/bin/python" -m venv --clear --without-pip "$tools"
    PIP_PYTHON=$tools pip_install --require-hashes --requirement tests/clients/requirements.lock
    cp tests/clients/{.npmrc,package.json,package-lock.json} "$tools"
    (cd "$tools" && npm ci --loglevel=error </dev/null >/dev/null)
}

prepare() {
    is_usable || make_venv
    cd "$root"
    once awaitd requirements.lock pyproject.toml app/__init__.py -- install_awaitd
    if [[ " $* " == *" tests "* ]]; then
        once tests tests/requirements.lock -- install_test_tools
    fi
    if [[ " $* " == *" bench "* ]]; then
        once bench benchmarks/requirements.lock -- install_bench_tools
    fi
    if [[ " $* " == *" clients "* ]]; then
        once clients tests/clients/{requirements.lock,package.json,package-lock.json,.npmrc} -- \
            install_client_tools
    fi
}

# prepare_venv awaitd [tests] [bench] [clients]: makes or updates the environment; one process at a time.
prepare_venv() {
    (
        if command -v flock >/dev/null && ! flock --nonblock 9; then
            say "waiting for another process that prepares $venv"
            flock 9
        fi
        prepare "$@" 9<&-
    ) 9<"$root"
}
