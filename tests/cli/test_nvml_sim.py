"""The simulated NVML under unmodified nvidia-ml-py, found by the loader as the driver's library would be."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timing

pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed: tools/setup.sh test")

SCRIPT = {
    "driver_version": "570.86.15",
    "devices": [
        {
            "name": "NVIDIA H100 80GB HBM3",
            "load": [{"type": "constant", "watts": 100}, {"type": "square", "period_ms": 700, "watts": 300}],
            "memory": [[0, 1024]],
            "processes": [{"pid": 4242, "memory_mib": 1000}],
            "temperature_c": 61,
            "utilisation": 37,
        },
        {"name": "NVIDIA A100-SXM4-80GB", "architecture": "ga100", "average": False},
    ],
    "faults": [{"call": "nvmlDeviceGetEnforcedPowerLimit", "device": 1, "return": "NO_PERMISSION"}],
}

READER = r"""
import ctypes, json, time
import pynvml as n
n.nvmlInit()
out = {"driver": n.nvmlSystemGetDriverVersion(), "count": n.nvmlDeviceGetCount(), "devices": []}
def call(f, *a):
    try:
        return f(*a)
    except n.NVMLError as e:
        return type(e).__name__
for i in range(out["count"]):
    h = n.nvmlDeviceGetHandleByIndex(i)
    fields = n.nvmlDeviceGetFieldValues(h, [n.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, n.NVML_FI_DEV_POWER_AVERAGE,
                                            n.NVML_FI_DEV_POWER_INSTANT])
    memory = n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2)
    out["devices"].append({
        "name": n.nvmlDeviceGetName(h), "uuid": n.nvmlDeviceGetUUID(h),
        "by_uuid": n.nvmlDeviceGetName(n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(h))),
        "pci": n.nvmlDeviceGetPciInfo(h).busId, "architecture": n.nvmlDeviceGetArchitecture(h),
        "capability": n.nvmlDeviceGetCudaComputeCapability(h), "power": n.nvmlDeviceGetPowerUsage(h),
        "energy": n.nvmlDeviceGetTotalEnergyConsumption(h),
        "fields": [(f.fieldId, f.nvmlReturn, f.value.ullVal if f.valueType == 3 else f.value.uiVal) for f in fields],
        "memory": [memory.total, memory.reserved, memory.used, memory.free],
        "memory_v1": n.nvmlDeviceGetMemoryInfo(h).used,
        "utilisation": n.nvmlDeviceGetUtilizationRates(h).gpu, "temperature": n.nvmlDeviceGetTemperature(h, 0),
        "limit": n.nvmlDeviceGetPowerManagementLimit(h), "enforced": call(n.nvmlDeviceGetEnforcedPowerLimit, h),
        "constraints": n.nvmlDeviceGetPowerManagementLimitConstraints(h),
        "processes": [(p.pid, p.usedGpuMemory) for p in n.nvmlDeviceGetComputeRunningProcesses(h)],
        "persistence": n.nvmlDeviceGetPersistenceMode(h), "fan": call(n.nvmlDeviceGetFanSpeed, h),
        "unexported": call(n.nvmlDeviceGetGspFirmwareVersion, h),
        "samples": [s.sampleValue.uiVal for s in n.nvmlDeviceGetSamples(h, n.NVML_TOTAL_POWER_SAMPLES, 0)[1]],
    })
oracle = ctypes.CDLL("libnvidia-ml.so.1").llem_nvml_sim_energy_j
oracle.restype, oracle.argtypes = ctypes.c_double, [ctypes.c_uint, ctypes.c_int64, ctypes.c_int64]
h = n.nvmlDeviceGetHandleByIndex(0)
def edge():
    first = value = n.nvmlDeviceGetTotalEnergyConsumption(h)
    while value == first:
        value = n.nvmlDeviceGetTotalEnergyConsumption(h)
    return value, time.monotonic_ns()
(a, t0), _, (b, t1) = edge(), time.sleep(1.5), edge()
out["counted"], out["truth"] = (b - a) * 1e-3, oracle(0, t0 - 50_000_000, t1 - 50_000_000)
n.nvmlShutdown()
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def seen(build_dir, tmp_path_factory):
    script = tmp_path_factory.mktemp("nvml") / "boards.json"
    script.write_text(json.dumps(SCRIPT))
    env = os.environ | {"LLEM_NVML_SIM": str(script), "LD_LIBRARY_PATH": str(build_dir / "lib" / "nvml")}
    done = subprocess.run([sys.executable, "-c", READER], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_facts(seen):
    assert seen["driver"] == "570.86.15"
    assert seen["count"] == 2
    first, second = seen["devices"]
    assert first["name"] == first["by_uuid"] == "NVIDIA H100 80GB HBM3"
    assert first["uuid"].startswith("GPU-") and first["uuid"] != second["uuid"]
    assert first["pci"] == "00000000:01:00.0"
    assert first["capability"] == [9, 0] and second["capability"] == [8, 0]
    assert first["constraints"] == [200000, 700000]


def test_readings(seen):
    first, second = seen["devices"]
    assert 100_000 <= first["power"] <= 400_000
    assert [f[:2] for f in first["fields"]] == [[83, 0], [185, 0], [186, 0]]
    assert first["fields"][0][2] >= 0
    assert [f[1] for f in second["fields"]] == [0, 3, 0]  # this architecture has no average
    assert first["temperature"] == 61 and first["utilisation"] == 37
    assert all(100_000 <= s <= 400_000 for s in first["samples"]) and len(first["samples"]) > 50


def test_memory(seen):
    total, reserved, used, free = seen["devices"][0]["memory"]
    assert used == 1 << 30 and total == used + free + reserved
    assert seen["devices"][0]["memory_v1"] == used + reserved
    assert seen["devices"][0]["processes"] == [[4242, 1000 << 20]]
    assert seen["devices"][1]["processes"] == []


def test_refusals(seen):
    first, second = seen["devices"]
    assert first["enforced"] == 700000
    assert second["enforced"] == "NVMLError_NoPermission"
    assert first["fan"] == "NVMLError_NotSupported"
    assert first["unexported"] == "NVMLError_FunctionNotFound"


def test_counter_follows_the_truth(seen):
    """Between two edges seen by busy polling: what the counter counted is the truth's exact integral."""
    assert seen["counted"] == pytest.approx(seen["truth"], rel=0.05)
    assert seen["counted"] > 100
