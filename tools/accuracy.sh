#!/usr/bin/env bash
# Errors and coverage of the energy estimators on simulated sensors with known truth; rewrites docs/accuracy.md.
#   tools/accuracy.sh [OPTION…]      options of build/release/tests/llem-accuracy (--help)
# LLEM_CAMPAIGN_N trials per stratum (default 2000).
set -euo pipefail
cd "$(dirname "$0")/.."
exec build/release/tests/llem-accuracy --markdown docs/accuracy.md --json build/accuracy.json "$@"
