#!/usr/bin/env bash
# Set-up, build and every test; `make test` and CI run this. A failing stage fails the whole, but the stages
# after it still run. LLEM_TEST_STRICT=1: a skip passes only when its reason names a need listed in tests/needs.txt.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
summary=()
failed_tests=()
failed=0

now_ms() { date +%s%3N; }

stage() { # NAME COMMAND…
    local name=$1 begin rc=0 line
    shift
    printf '\n== %s\n' "$name"
    begin=$(now_ms)
    "$@" </dev/null || rc=$?
    line=$(awk -v ms=$(($(now_ms) - begin)) -v n="$name" -v rc=$rc \
        'BEGIN { printf "%-28s %7.1f s  %s", n, ms / 1000, rc ? "FAILED (exit " rc ")" : "passed" }')
    summary+=("$line")
    [ $rc -eq 0 ] || failed=1
    return $rc
}

pull_model() { # the one small model of the tests, with the form of the quickstart that is made from it
    local name=smollm2-135m-instruct
    export LLEM_PYTHON=$PWD/build/venv/bin/python
    build/release/bin/llem model pull $name && build/release/bin/llem model pull $name --form q8_0
}

engines() { # in Python; without them their tests are skipped, and a skip says why
    local log=build/setup-engines.log
    if LLEM_TEST_ENGINES_PYTHON=$(tools/setup-engines.sh 2> >(tee "$log" >&2)); then
        export LLEM_TEST_ENGINES_PYTHON
    else
        unset LLEM_TEST_ENGINES_PYTHON
        export LLEM_TEST_NO_ENGINES=$(tail -n 3 "$log" | tr '\n' ' ')
    fi
}

run_ctest() { # PRESET [CTEST ARGUMENT…]
    local preset=$1 junit=$PWD/build/$1/ctest.xml rc=0
    shift
    local log=build/$preset/Testing/Temporary/LastTestsFailed.log # "NUMBER:NAME" a line
    rm -f "$junit" "$log"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --output-junit "$junit" \
        --test-output-size-passed 10000000 -j$((2 * $(nproc))) "$@" || rc=$?
    [ ! -f "$log" ] || mapfile -t -O ${#failed_tests[@]} failed_tests < <(sed "s/^[0-9]*:/$preset: /" "$log")
    build/venv/bin/python tools/check_skips.py --junit "$junit" || rc=1
    return $rc
}

run_pytest() { # LANE WORKERS PYTEST-ARGUMENT…
    local log=build/pytest-$1.log workers=$2 rc=0
    shift 2
    LLEM_BUILD_DIR=${LLEM_BUILD_DIR:-$PWD/build/release} build/venv/bin/python -m pytest -q --durations=10 \
        -n "$workers" --dist worksteal "$@" tests | tee "$log" || rc=$?
    mapfile -t -O ${#failed_tests[@]} failed_tests < <(sed -n 's/^\(FAILED\|ERROR\) \([^ ]*\).*/pytest: \2/p' "$log")
    return $rc
}

if stage "set-up" tools/setup.sh test; then
    if stage "build release" tools/build.sh release; then
        stage "model" pull_model
        stage "engines in Python" engines
        stage "ctest release" run_ctest release
        # Most tests wait for engines and sensors, so there are more workers than processors. Those that judge a time
        # or a sensor have a lane of their own, beside nothing that computes.
        export LOCPATH=$PWD/build/locales
        # In a language that writes 0,5: llem writes 0.5.
        LLEM_TEST_LOCALE=de_DE.UTF-8 stage "pytest" run_pytest work $((3 * $(nproc))) -m "not timing and not docker and not engines"
        stage "pytest (time, sensors)" run_pytest timing $((3 * $(nproc))) -m timing
        # They compute: as many at a time as there are processors.
        stage "pytest (engines)" run_pytest engines $(nproc) -m "engines and not docker"
        # One daemon for all of them, which does the work of one processor when containers come and go.
        stage "pytest (containers)" run_pytest docker $((2 * $(nproc))) -m "docker and not timing"
    fi
    if stage "build asan+ubsan" tools/build.sh asan; then
        stage "ctest asan+ubsan" run_ctest asan -L "unit|fuzz"
    fi
    if stage "build tsan" tools/build.sh tsan --target tests_tsan; then
        # The sampler's threads (pthread). Locks inside the system's GLib are invisible to the sanitizer, so code that
        # uses them would be reported without a cause; its slice allocator among them, which hands memory from thread to
        # thread.
        export G_SLICE=always-malloc
        stage "ctest tsan (sampler)" run_ctest tsan -L tsan
    fi
fi

printf '\n== seconds per stage\n'
printf '%s\n' "${summary[@]}"
if [ ${#failed_tests[@]} -gt 0 ]; then
    printf '\n== failed tests\n'
    printf '%s\n' "${failed_tests[@]}"
fi
exit $failed
