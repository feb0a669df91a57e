#!/usr/bin/env bash
# Runs every benchmark of build/release/bench and prints one Markdown table with the machine's facts above it.
#   tools/bench.sh [NAME…]     (default: all; `make bench`)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=build/release/bench
if [ $# -gt 0 ]; then
    programs=("${@/#/$folder/bench_}")
else
    programs=("$folder"/bench_*)
fi
governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || echo "not shown")
model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
printf '%s, %s; %s (%s CPUs), governor %s; Linux %s; load before: %s\n\n' \
    "$(build/release/bin/llem --version)" "$(git describe --always --dirty 2>/dev/null || echo 'no revision')" \
    "${model:-$(uname -m)}" "$(nproc)" "$governor" "$(uname -r)" "$(cut -d' ' -f1-3 /proc/loadavg)"
printf '| what | value | 95 %% interval | budget |\n|---|---|---|---|\n'
for program in "${programs[@]}"; do
    case $program in
    */bench_containers) # with the daemon and the smallest image of the tests
        daemon=(build/venv/bin/python tests/docker/daemon.py)
        LLEM_BENCH_IMAGE=llem-test/base "${daemon[@]}" run \
            sh -c '"$@" image base >/dev/null && exec "$0"' "$program" "${daemon[@]}" ;;
    *) "$program" ;;
    esac </dev/null
done
