#!/usr/bin/env bash
# The whole accuracy harness: errors and coverage of the estimators on simulated sensors (`make accuracy`).
# Prints the table, writes docs/accuracy.md and build/release/accuracy.json. 23 minutes of two processors that have
# nothing else to do (45 minutes of CPU time, by 250 times what `--n 4 --others 2` takes): LLEM_CAMPAIGN_N trials a row
# whose band has two sides (default 1000), 500 at most of the others (`--others M`), half as many whole runs, on
# LLEM_JOBS processes (default: all processors). Status 1 when a band was missed; the page is written all the same and
# says which.
set -euo pipefail
cd "$(dirname "$0")/.."
exec build/release/tests/llem-accuracy --markdown docs/accuracy.md --json build/release/accuracy.json "$@"
