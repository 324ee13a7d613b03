#!/bin/sh
# Makes .venv from requirements/dev.txt and puts this project into it, editable. `make install` runs it.
#
# .venv/.installed is there only after a whole install, and says where it was made: an install that was interrupted,
# and a .venv that was moved or copied (its scripts would still point to the old place), are made anew.
set -eu
cd "$(dirname "$0")/.."

here=$(pwd -P)
stamp=.venv/.installed

fail() {
    echo "make install: $1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or newer."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found. Install one (Debian, Ubuntu: apt install python3 python3-venv),
or say where it is: make install PYTHON=/path/to/python3.12"
}

make_venv() {
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python $version has no venv module with pip.
Debian and Ubuntu keep it in a package of its own: apt install python$version-venv"
    echo "Making .venv with Python $version"
    "$python" -m venv --clear .venv
}

if [ -x .venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$here" ]; then
    rm "$stamp"
else
    rm -f "$stamp"
    make_venv
fi

# A pip that is set to install for the user, elsewhere or in another way would miss .venv
unset PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

.venv/bin/python -m pip install --quiet --require-hashes -r requirements/dev.txt
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
echo "$here" >"$stamp"
