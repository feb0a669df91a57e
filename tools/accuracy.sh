#!/usr/bin/env bash
# The whole accuracy harness: errors and coverage of the estimators on simulated sensors (`make accuracy`).
# Prints the table, writes docs/accuracy.md and build/release/accuracy.json. Some 20 minutes of two processors:
# LLEM_CAMPAIGN_N trials a row (default 1000), half as many whole runs, on LLEM_JOBS processes (default: all
# processors); `--others M` draws fewer of the rows whose band has one side. Status 1 when a band was missed; the page
# is written all the same and says which.
set -euo pipefail
cd "$(dirname "$0")/.."
exec build/release/tests/llem-accuracy --markdown docs/accuracy.md --json build/release/accuracy.json "$@"
