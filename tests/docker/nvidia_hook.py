"""Stand-in for the NVIDIA Container Toolkit: what dockerd starts before a container with --gpus begins.

The real hook makes the driver's libraries and the boards that were asked for visible in the container; this one puts the
simulated NVML there, under the driver's name, with those boards alone, and an nvidia-smi. It fails with the real one's
words on an unknown board and on a requirement of the image (NVIDIA_REQUIRE_CUDA) that the driver does not meet.

Boards: the script that LLEM_NVML_SIM of the container names on this machine; it is put, without the boards that were not
asked for, at the same path inside (a mount there hides it). Else boards.json in the daemon's folder nvidia/. See sim/README.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OTHERWISE = "etc/llem-nvml-sim.json"  # read by the simulator where LLEM_NVML_SIM is not set
NEEDS = "llem-nvml-sim"  # beside the simulator, by its run path


def die(text):
    print(f"nvidia-container-cli: {text}", file=sys.stderr)
    sys.exit(1)


def container():
    """The root folder of the container to be and its variables, from the OCI state on stdin."""
    bundle = Path(json.load(sys.stdin)["bundle"])
    spec = json.loads((bundle / "config.json").read_text())
    root = Path(spec["root"]["path"])
    variables = dict(entry.partition("=")[::2] for entry in spec["process"].get("env", []))
    return (root if root.is_absolute() else bundle / root), variables


def script_of(variables, folder):
    path = variables.get("LLEM_NVML_SIM")
    source = Path(path) if path else folder / "boards.json"
    if not source.exists():
        die(f"initialization error: no simulated boards at {source}")
    tree = json.loads(source.read_text())
    tree["devices"] = tree.get("devices") or [{}]
    for index, device in enumerate(tree["devices"]):
        device.setdefault("uuid", f"GPU-00000000-0000-4000-8000-{index:012d}")
    return path, tree


def chosen(tree, wanted):
    """Indices of the boards that NVIDIA_VISIBLE_DEVICES names; of a divided one only the instances that are named stay."""
    if wanted in ("", "void", "none"):
        return []
    names = wanted.split(",")
    for device in tree["devices"]:
        instances = [one for one in device.get("instances", []) if one.get("uuid") in names]
        if instances:
            device["instances"] = instances
            names = [device["uuid"] if name in [one["uuid"] for one in instances] else name for name in names]
    wanted = ",".join(dict.fromkeys(names))
    uuids = [device["uuid"] for device in tree["devices"]]
    if wanted == "all":
        return list(range(len(uuids)))
    found = set()
    for name in wanted.split(","):
        index = int(name) if name.isdigit() else next((i for i, uuid in enumerate(uuids) if uuid == name), -1)
        if not 0 <= index < len(uuids):
            die(f"device error: {name}: unknown device")
        found.add(index)
    return sorted(found)


def only(tree, indices):
    """The script with those boards alone; faults of the others go, the rest follow their boards."""
    faults = []
    for fault in tree.get("faults", []):
        if "device" not in fault:
            faults.append(fault)
        elif fault["device"] in indices:
            faults.append({**fault, "device": indices.index(fault["device"])})
    return {**tree, "devices": [tree["devices"][i] for i in indices], **({"faults": faults} if faults else {})}


def numbers(text):
    return [int(part) for part in re.findall(r"\d+", text)]


def holds(condition, facts):
    name, operator, value = re.fullmatch(r"(\w+)(>=|<=|!=|=|<|>)(.*)", condition).groups()
    have = facts.get(name, "")
    if name in ("cuda", "driver", "arch"):
        a, b = numbers(have), numbers(value)
        width = max(len(a), len(b))
        a, b = a + [0] * (width - len(a)), b + [0] * (width - len(b))
    else:
        a, b = have, value
    return {">=": a >= b, "<=": a <= b, "!=": a != b, "=": a == b, "<": a < b, ">": a > b}[operator]


def check_requirement(variables, facts):
    """NVIDIA_REQUIRE_CUDA: alternatives between spaces, conditions of one between commas."""
    text = variables.get("NVIDIA_REQUIRE_CUDA", "")
    if not text or variables.get("NVIDIA_DISABLE_REQUIRE", "") not in ("", "0", "false"):
        return
    alternatives = text.split()
    if not any(all(holds(condition, facts) for condition in one.split(",")) for one in alternatives):
        die(f"requirement error: unsatisfied condition: {alternatives[0]}, please update your driver to a newer version, "
            "or use an earlier cuda container")  # fmt: skip


def smi(tree, driver, cuda):
    """A shell script that says what it is asked for of these boards."""
    lines = [f"GPU {i}: {d.get('name', 'Simulated board')} (UUID: {d['uuid']})" for i, d in enumerate(tree["devices"])]
    table = f"NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda}"
    query = [f"{i}, {d.get('name', 'Simulated board')}, {d['uuid']}, {driver}" for i, d in enumerate(tree["devices"])]
    quote = lambda texts: "\n".join(texts).replace("'", "")  # noqa: E731
    return f"""#!/bin/sh
case "$1" in
-L) echo '{quote(lines)}' ;;
--query-gpu=*) echo '{quote(query)}' ;;
*) echo '{quote([table, *lines])}' ;;
esac
"""


def prepare(folder, library):
    """What does not change from container to container: found out once, when the daemon starts."""
    triplet = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True).stdout.strip()
    needed = re.findall(r"=> (/\S+)", subprocess.run(["ldd", library], capture_output=True, text=True).stdout)
    (folder / "inject.json").write_text(json.dumps({
        "library": str(library), "places": [f"usr/lib/{triplet}" if triplet else "usr/lib64", "usr/local/nvidia/lib64"],
        "needs": [n for n in needed if not re.match(r"(libc|libm|ld-linux.*|libpthread|libdl)\.so", Path(n).name)],
    }))  # fmt: skip


def inject(root, what, text):
    """Copies of the simulator and of what it links, where the toolkit puts the driver's libraries, and an nvidia-smi."""
    for place in what["places"]:
        (root / place / NEEDS).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(what["library"], root / place / "libnvidia-ml.so.1")
        for path in what["needs"]:
            shutil.copyfile(path, root / place / NEEDS / Path(path).name)
    for place in ("usr/bin", "usr/local/nvidia/bin"):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "nvidia-smi").write_text(text)
        (root / place / "nvidia-smi").chmod(0o755)


def main(folder, verb):
    if verb != "prestart":
        return
    root, variables = container()
    path, tree = script_of(variables, folder)
    visible = only(tree, chosen(tree, variables.get("NVIDIA_VISIBLE_DEVICES", "")))
    driver = tree.get("driver_version", "580.65.06")
    number = int(tree.get("cuda_version", 13000))
    cuda = f"{number // 1000}.{number % 1000 // 10}"
    check_requirement(variables, {"cuda": cuda, "driver": driver, "brand": "tesla", "arch": "9.0"})
    if not visible["devices"]:
        return
    inject(root, json.loads((folder / "inject.json").read_text()), smi(visible, driver, cuda))
    inside = root / (path.lstrip("/") if path else OTHERWISE)
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.write_text(json.dumps(visible))
    os.chmod(inside, 0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
