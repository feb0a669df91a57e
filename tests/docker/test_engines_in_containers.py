"""The engines in Python, real, in containers: an image with Python, and their environment mounted into it."""

import os
import re
import subprocess
from pathlib import Path

import images
import pytest
from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.engines

WORK = {"model": "smollm2-135m-instruct", "precision": "fp32", "n": 2, "max_input_tokens": 16, "max_output_tokens": 8,
        "warmup.n_warmup": 1, "warmup.max_prompts": 2, "energy.max_repeats": 1, "energy.modelled": False, "load.mode": "batch",
        "load.size": 2}
OPTIONS = {
    "llamacpp": {"llamacpp.type_k": "f32", "llamacpp.type_v": "f32"},
    "pytorch": {"pytorch.n_threads": 1},
    "vllm": {"vllm.engine.enforce_eager": True},
}


LSCPU = "/usr/bin/lscpu"  # vLLM asks it which processors there are


def system_files(*folders):
    """lscpu, and the libraries of this machine that the shared objects below need, but for glibc's, which the image has."""
    objects = [LSCPU, *(str(path) for folder in folders for path in Path(folder).rglob("*.so*") if path.is_file())]
    said = subprocess.run(["ldd", *objects], capture_output=True, text=True).stdout
    found = {Path(path) for path in re.findall(r"=> (/(?:usr/)?lib/\S+)", said)}
    of_glibc = {path.name for path in images.libc_files()[1]}
    libraries = {images.merged(path): path.resolve().read_bytes() for path in found if path.name not in of_glibc}
    return {LSCPU: Path(LSCPU).read_bytes(), **libraries}


@pytest.fixture
def runner(docker, engines):
    """Settings of a runner that has the environment; its interpreter may lie anywhere on this machine."""
    environment = Path(engines.env["LLEM_ENVIRONMENTS_DIR"]) / Path(os.environ["LLEM_TEST_ENGINES_PYTHON"]).parent.parent.name
    python = (environment / "bin" / "python").resolve()
    own = [] if python.is_relative_to("/usr") else [str(python.parent.parent)]
    image = docker.image("python", name="llem-test/engines", files=system_files(environment, *own))
    return {"use": f"docker:{image}", "python": str(environment / "bin" / "python"), "mounts": [str(environment), *own]}


@pytest.mark.parametrize("engine", OPTIONS)
def test_the_same_work_as_here(engines, runner, tmp_path, engine):
    def run(name, **more):
        path = write(tmp_path / f"{name}.yaml", {**WORK, "backend": engine, **OPTIONS[engine]}, execution={"n_cycles": 1}, **more)
        done = engines.run("run", path, "-o", tmp_path / name, timeout=400)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / name)
        check_records(engines, study)
        return study.result()

    settings = {f"runners.{engine}.{key}": value for key, value in runner.items()}
    if engine == "llamacpp":
        settings = {"runners.llamacpp.use": runner["use"]}
    there, here = run("there", **settings), run("here")
    assert (there["context"]["runner"], here["context"]["runner"]) == ("docker", "local")
    for record in (there, here):
        assert metric(record, "tokens_out")["value"] == 16
        assert metric(record, "ttft_mean_s")["status"] == "measured"
        gaps = metric(record, "itl_mean_s")  # on a busy machine vLLM hands over several tokens at once, and then says so
        assert gaps["status"] == "measured" or "several tokens in one chunk" in gaps["reason"], gaps
    assert there["identity"]["config_hash"] == here["identity"]["config_hash"]
    for ids in ("input_ids_sha256", "output_ids_sha256"):
        assert there["workload"][ids] == here["workload"][ids]
