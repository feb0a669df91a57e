#!/usr/bin/env bash
# Long random testing: the tests marked `campaign` with LLEM_CAMPAIGN_N rounds each (default 200, in containers 100),
# then every fuzz target for LLEM_CAMPAIGN_N seconds, when clang is there.
set -uo pipefail
cd "$(dirname "$0")/.."
rounds=${LLEM_CAMPAIGN_N:-200}
failed=0
LLEM_TEST_ENGINES_PYTHON=$(tools/setup-engines.sh) && export LLEM_TEST_ENGINES_PYTHON

LLEM_CAMPAIGN_N=$rounds build/venv/bin/python -m pytest -q -m "campaign and not docker" tests || failed=1
# A round in containers takes seconds, not tenths of them.
LLEM_CAMPAIGN_N=${LLEM_CAMPAIGN_N:-100} build/venv/bin/python -m pytest -q -s -m "campaign and docker" tests || failed=1

if command -v clang >/dev/null && command -v clang++ >/dev/null; then
    tools/build.sh fuzz --target fuzz || exit 1
    for target in build/fuzz/tests/fuzz_*; do
        name=${target##*/fuzz_}
        mkdir -p "build/fuzz/corpus/$name"
        printf '\n== fuzz %s, %s s\n' "$name" "$rounds"
        "$target" -max_total_time="$rounds" -timeout=20 -artifact_prefix="build/fuzz/" -print_final_stats=1 \
            "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" 2>&1 | tail -n 20 || failed=1
    done
else
    echo "clang is not here: the fuzz targets were left out (their corpora run in make test)"
fi
exit $failed
