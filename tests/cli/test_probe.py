"""llem-worker --probe: what a worker finds where it is, as one JSON object."""

import json
import os
import subprocess

import pytest


@pytest.fixture
def probe(build_dir):
    def run(code=0, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LLEM_")}
        done = subprocess.run([build_dir / "bin" / "llem-worker", "--probe"], env=clean | env, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    return run


@pytest.fixture
def boards(build_dir, tmp_path):
    """The variables of a simulated machine."""

    def make(**script):
        path = tmp_path / "boards.json"
        path.write_text(json.dumps(script))
        return {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(path)}

    return make


def test_the_place(probe):
    answer = probe()
    assert answer["schema"] == "llem-probe/1"
    assert answer["place"]["uid"] == os.getuid()
    assert answer["place"]["glibc"] == os.confstr("CS_GNU_LIBC_VERSION").split()[1]
    assert answer["place"]["shm_bytes"] == os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize
    assert "engine" not in answer


def test_boards_driver_and_cuda(probe, boards):
    answer = probe(**boards(driver_version="535.54.03", cuda_version=12020, devices=[{"uuid": "GPU-a"}, {"uuid": "GPU-b"}]))
    gpus = answer["gpus"]
    assert gpus["driver_version"] == "535.54.03" and gpus["cuda_version"] == "12.2" and gpus["simulated"]
    assert [d["uuid"] for d in gpus["devices"]] == ["GPU-a", "GPU-b"]
    assert all(d["brand"] == 14 for d in gpus["devices"])


def test_no_driver_is_said(probe):
    assert "libnvidia-ml.so.1" in probe(LLEM_NVML_LIBRARY="/nowhere/libnvidia-ml.so.1")["gpus"]["absent"]


def test_library_and_kernel_module_of_different_drivers(probe, boards):
    fault = {"call": "nvmlDeviceGetCount_v2", "return": "LIB_RM_VERSION_MISMATCH"}
    assert "different drivers" in probe(**boards(faults=[fault]))["gpus"]["absent"]


def test_a_file_that_is_none_is_told(probe, tmp_path):
    (tmp_path / "x_config.json").write_text("{}")
    assert "not an exchange file" in probe(code=1, LLEM_CONFIG_PATH=str(tmp_path / "x_config.json"))


def test_programs_of_the_place(probe, tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho GPU 0: x; exit 3\n")
    smi.chmod(0o755)
    answer = probe(PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert answer["nvidia_smi"] == {"ended": "exit status 3", "clean": False, "said": "GPU 0: x"}
