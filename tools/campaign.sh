#!/usr/bin/env bash
# Long random testing: the tests marked `campaign` with LLEM_CAMPAIGN_N rounds each (default 200, in containers 100),
# the command line's tests in two more languages, the README's commands in bare roots, then every fuzz target for
# LLEM_CAMPAIGN_N seconds, when clang is there.
set -uo pipefail
cd "$(dirname "$0")/.."
rounds=${LLEM_CAMPAIGN_N:-200}
failed=0
LLEM_TEST_ENGINES_PYTHON=$(tools/setup-engines.sh) && export LLEM_TEST_ENGINES_PYTHON

LLEM_CAMPAIGN_N=$rounds build/venv/bin/python -m pytest -q -m "campaign and not docker" tests || failed=1
# A round in containers takes seconds, not tenths of them.
LLEM_CAMPAIGN_N=${LLEM_CAMPAIGN_N:-100} build/venv/bin/python -m pytest -q -s -m "campaign and docker" tests || failed=1

# make test has de_DE, with a comma before the fraction; tr_TR has a dotless i
for language in C.UTF-8 tr_TR.UTF-8; do
    printf '\n== language %s\n' "$language"
    LOCPATH=$PWD/build/locales LLEM_TEST_LOCALE=$language build/venv/bin/python -m pytest -q -n $((3 * $(nproc))) \
        -m "not timing and not docker and not engines and not campaign" tests/cli || failed=1
done

if [ "$(id -u)" -eq 0 ] && command -v debootstrap >/dev/null; then
    tools/bare-root.sh || failed=1
else
    echo "bare roots were left out: they need root and debootstrap"
fi

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
