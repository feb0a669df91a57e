#!/usr/bin/env bash
# Three engines: brings their environment and the model as each of them takes it, then runs examples/engines.yaml.
set -euo pipefail
cd "$(dirname "$0")/.."
export LLEM_PYTHON=${LLEM_PYTHON:-$PWD/build/venv/bin/python}
llem=build/release/bin/llem
"$llem" engine pull vllm >/dev/null
"$llem" model pull smollm2-135m-instruct --form f32
"$llem" model pull smollm2-135m-instruct --form folder
exec "$llem" run examples/engines.yaml
