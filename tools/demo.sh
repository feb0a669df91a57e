#!/usr/bin/env bash
# The demo: brings a small real model in two forms, then runs examples/quickstart.yaml on it.
set -euo pipefail
cd "$(dirname "$0")/.."
export LLEM_PYTHON=$PWD/build/venv/bin/python
llem=build/release/bin/llem
"$llem" model pull smollm2-135m-instruct
"$llem" model pull smollm2-135m-instruct --form q8_0
exec "$llem" run examples/quickstart.yaml
