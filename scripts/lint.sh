#!/usr/bin/env bash
# Every check that reads the tree without running it, types apart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=.venv/bin

"$bin/ruff" check --quiet .
"$bin/ruff" format --quiet --check .
"$bin/lint-imports" >.cache/lint-imports.log || {
    cat .cache/lint-imports.log
    exit 1
}
"$bin/codespell"

# A file without either line is a part of another, and is checked where that one sources it.
mapfile -t shell < <(
    git grep -lE --untracked -e '^#!(/usr)?/bin/(env )?(ba)?sh' -e '^# shellcheck shell=' \
        -- ':!*.md' ':!*.py' | sort -u
)
"$bin/shellcheck" --external-sources "${shell[@]}"

# Unfinished business belongs into an issue. (The brackets keep this line from finding itself.)
if git grep -nIE --untracked '\b(TOD[O]|FIXM[E]|XX[X])\b' -- ':!requirements.lock' ':!tests/data' \
    ':!pyproject.toml' ':!CONTRIBUTING.md'; then
    echo "lint: the lines above are unfinished" >&2
    exit 1
fi
