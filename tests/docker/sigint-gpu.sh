#!/usr/bin/env bash
# Ctrl-C on GPU hardware, through Docker (docs/manual-tests.md). One command, which ends by itself and writes a record:
#   tests/docker/sigint-gpu.sh --image IMAGE [--gpus UUID,…] [--out FOLDER]
# IMAGE has python3 and the CUDA driver's libraries come with --gpus; python:3.12-slim does. Exit 0: everything held.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null || { echo "sigint-gpu.sh: python3 is needed (3.9 or newer)" >&2; exit 2; }
exec python3 "$here/sigint_gpu.py" "$@"
