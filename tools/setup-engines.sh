#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the tests of engines in Python need: their environment (about 2 GB on disk; nothing of a GPU's) and the model as
# they take it. Prints the interpreter; else says why there is none, on stderr, and exits 1. A second run does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
llem=${LLEM_BUILD_DIR:-build/release}/bin/llem
model=smollm2-135m-instruct
export LLEM_PYTHON=${LLEM_PYTHON:-$PWD/build/venv/bin/python}

python=$("$llem" engine pull vllm || "$llem" engine pull pytorch)
"$llem" model pull $model --form folder >&2
"$llem" model pull $model --form f32 >&2
printf '%s\n' "$python"
