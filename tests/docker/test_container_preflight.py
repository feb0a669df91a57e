"""What would only be found out while runs are in containers, asked before: every row against a real daemon."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import daemon as daemons
import images
import podman as podmen
import pytest
import toy
from studies import write

A, B = (f"GPU-00000000-0000-4000-8000-00000000000{i}" for i in (0, 1))


def study(path, image="llem-test/base", kind="docker", runner=None, **fields):
    """A study of the simulated engine, or of `backend`, in containers."""
    name = fields.get("backend", "sim")
    return write(path / "t.yaml", {"runners": {name: {"use": f"{kind}:{image}", **(runner or {})}}, **fields})


def doctor(llem, path, code=0, *overrides, **options):
    """{check: row}"""
    done = llem.run("doctor", path, *overrides, "--json", timeout=180, **options)
    assert done.returncode == code, done.stdout + done.stderr
    return {row["check"]: row for row in json.loads(done.stdout)}


def states(rows):
    return {check: row["state"] for check, row in rows.items() if check.startswith(("container.", "gpu."))}


def made(docker, llem, path, since):
    """The images of the containers that were made for cells of a study; the daemon has other tests too."""
    cells = set(re.findall(r"\b[0-9a-f]{16}\b", llem.ok("plan", path, "--json")))
    events = docker.ok("events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", "--filter", "event=create",
                       "--format", "{{json .Actor.Attributes}}")  # fmt: skip
    found = [json.loads(line) for line in events.splitlines()]
    return [row["image"] for row in found if row.get("org.llenergymeasure.config") in cells]


@pytest.fixture
def boards(llem, build_dir, tmp_path):
    """The host's driver: two simulated boards, those that the stand-in toolkit has."""

    def make(**script):
        script.setdefault("devices", [{"uuid": A}, {"uuid": B}])
        path = tmp_path / "boards.json"
        path.write_text(json.dumps(script))
        llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(path)}
        return path

    return make


# --- Client and daemon: an answer of its own for each


def test_all_is_well(docker, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, docker.image("base")))
    assert set(states(rows).values()) == {"ok"}
    assert "docker " in rows["container.client"]["found"]
    assert docker.host in rows["container.daemon"]["found"]
    assert docker.image_id("llem-test/base")[:19] in rows["container.image"]["found"]
    assert rows["container.engine"]["found"].startswith("sim 1.")
    assert f"glibc {os.confstr('CS_GNU_LIBC_VERSION').split()[1]}" in rows["container.glibc"]["found"]
    assert all(row["why"] and row["remedy"] for row in rows.values())
    assert not list(tmp_path.glob(".llem-preflight*")) and not list(tmp_path.glob("results/*"))


def test_client_that_is_not_installed(docker, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, runner={"client": "/nowhere/docker"}), 1)
    assert rows["container.client"]["state"] == "failed" and "/nowhere/docker" in rows["container.client"]["found"]
    assert "container.daemon" not in rows


def test_daemon_that_is_not_running(llem, tmp_path):
    daemons_down = {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}
    row = doctor(llem, study(tmp_path), 1, env=daemons_down)["container.daemon"]
    assert row["state"] == "failed" and "does not run" in row["found"] and "systemctl start docker" in row["found"]


def test_socket_that_is_not_for_this_user(docker, llem, tmp_path):
    """Upstream told whoever had no daemon to join the group, and whoever was not in it that the toolkit was missing."""
    home = tmp_path / "user"
    home.mkdir()
    os.chown(home, 1234, 1234)
    for folder in [*tmp_path.parents, tmp_path]:
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    row = doctor(llem, study(tmp_path), 1, env=env, user=1234, group=1234, extra_groups=[], cwd=home)["container.daemon"]
    assert row["state"] == "failed" and "ermission" in row["found"] and "group" in row["found"]
    assert "does not run" not in row["found"]


def test_daemon_of_another_machine(llem, tmp_path):
    row = doctor(llem, study(tmp_path), 1, env={"DOCKER_HOST": "tcp://192.0.2.1:2375"})["container.daemon"]
    assert row["state"] == "failed" and "socket of this machine" in row["found"]


# --- Room


def test_room_for_images_and_results(docker, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, docker.image("base")))
    assert " free at " in rows["container.space"]["found"] and " free" in rows["store.space"]["found"]
    rows = doctor(llem, study(tmp_path, runner={"shm_size": "900g"}))
    assert rows["container.memory"]["state"] == "warning" and "900" in rows["container.memory"]["found"]
    rows = doctor(llem, study(tmp_path, runner={"shm_size": "2g", "memory": "1g"}))
    assert rows["container.memory"]["state"] == "warning" and "may use 1.00 GiB" in rows["container.memory"]["found"]


@pytest.mark.parametrize("image, advised", [("llem-test/base", "1.00 GiB"), ("llem-test/nowhere", "30.0 GiB")])
def test_a_disk_that_is_full(docker, llem, tmp_path, image, advised):
    """Of a daemon whose data lies where there is no room; an image that is to be pulled needs more of it."""
    docker.image("base")
    client = tmp_path / "docker"
    client.write_text("""#!/bin/sh
[ "$1" = info ] || exec docker "$@"
docker "$@" | sed 's,"DockerRootDir":"[^"]*","DockerRootDir":"/proc",'
""")
    client.chmod(0o755)
    row = doctor(llem, study(tmp_path, image, runner={"client": str(client)}))["container.space"]
    assert row["state"] == "warning" and row["found"].startswith("0 B free at /proc") and advised in row["found"], row
    assert "docker system df" in row["remedy"]


def test_what_each_engine_may_use_is_looked_at(docker, llem, tmp_path):
    """Two engines in one image, with settings of their own."""
    toy.install(llem)
    image = docker.image("python")
    path = study(tmp_path, image, **{"runners.toy": {"use": f"docker:{image}", "shm_size": "900g"}, "max_input_tokens": 1000})
    path.write_text(path.read_text().replace('"backend": "sim"', '"sweep": {"backend": ["sim", "toy"]}'))
    rows = json.loads(llem.run("doctor", path, "--json", timeout=180).stdout)
    found = {row["of"]: row["state"] for row in rows if row["check"] == "container.memory"}
    assert found == {f"docker:{image} for sim": "ok", f"docker:{image} for toy": "warning"}


def test_shared_memory_of_the_machine_has_no_size_of_ours(docker, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, docker.image("base"), runner={"ipc": "host", "shm_size": "900g"}))
    assert rows["container.memory"]["state"] == "ok"
    assert rows["container.memory"]["found"].endswith("the machine's own shared memory")


def test_one_image_by_two_clients(docker, llem, tmp_path):
    """What one of them says of it is not what the other says."""
    toy.install(llem)
    image, other = docker.image("python"), tmp_path / "other"
    other.write_text('#!/bin/sh\n[ "$1 $2" = "image inspect" ] && { echo "Error: No such image: $4" >&2; exit 1; }\nexec docker "$@"\n')
    other.chmod(0o755)
    path = study(tmp_path, image, max_input_tokens=1000, **{"runners.toy": {"use": f"docker:{image}", "client": str(other)}})
    path.write_text(path.read_text().replace('"backend": "sim"', '"sweep": {"backend": ["sim", "toy"]}'))
    rows = json.loads(llem.run("doctor", path, "--json", timeout=180).stdout)
    found = {row["of"]: row["state"] for row in rows if row["check"] == "container.image"}
    assert found == {f"docker:{image}": "ok", f"docker:{image} by {other}": "warning"}


# --- The image that will run, and no other


def test_no_other_image_is_needed(docker, llem, tmp_path):
    """Upstream started a CUDA image of its own choice from the network. Nothing here can reach any."""
    image = docker.image("base", name="llem-test/only", labels={"of": "this test"})
    path, since = study(tmp_path, image, random_seed=101), time.time()
    doctor(llem, path)
    assert made(docker, llem, path, since) == [docker.image_id(image)]


def test_an_image_that_is_not_here(docker, llem, tmp_path):
    row = doctor(llem, study(tmp_path, "llem-test/nowhere"))["container.image"]
    assert row["state"] == "warning" and "pulled before the first run" in row["found"]
    row = doctor(llem, study(tmp_path, "llem-test/nowhere", runner={"pull": "never"}), 1)["container.image"]
    assert row["state"] == "failed" and "llem-test/nowhere" in row["found"]


def test_each_image_and_engine_is_asked_once(docker, llem, tmp_path):
    path = study(tmp_path, docker.image("base"), sweep={"sim.threads": [1, 2], "random_seed": [102, 103]})
    since = time.time()
    doctor(llem, path)
    assert len(made(docker, llem, path, since)) == 1


@pytest.mark.parametrize("kind, said", [("oldglibc", "llem-worker needs glibc 2.34, the image has 2.31"),
                                        ("noglibc", "no loader of glibc")])
def test_c_library_of_the_image(docker, llem, tmp_path, kind, said):
    rows = doctor(llem, study(tmp_path, docker.image(kind)), 1)
    assert rows["container.glibc"]["state"] == "failed" and said in rows["container.glibc"]["found"]
    assert rows["container.engine"]["state"] == "absent"


def test_engine_that_the_image_does_not_have(docker, llem, tmp_path):
    """The same adapter in an image with Python and in one without: what is asked is the engine in the image."""
    toy.install(llem)
    rows = doctor(llem, study(tmp_path, docker.image("python"), backend="toy", model="m"))
    assert rows["container.engine"]["state"] == "ok" and rows["container.engine"]["found"].startswith("toy")
    rows = doctor(llem, study(tmp_path, docker.image("base"), backend="toy", model="m"), 1)
    assert rows["container.engine"]["state"] == "failed" and "python3" in rows["container.engine"]["found"]
    assert rows["container.start"]["state"] == "ok"


def elf_hash(name):
    value = 0
    for byte in name:
        value = (value << 4) + byte
        value = (value ^ ((value & 0xF0000000) >> 24)) & 0x0FFFFFFF
    return value.to_bytes(4, "little")


def object_of(path, version):
    """A shared object that needs that version of glibc."""
    source = path.with_suffix(".c")
    source.write_text("int pthread_create(void);\nvoid *f(void) { return pthread_create; }\n")  # in libc since 2.34
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", path, source], check=True)
    have, want = b"GLIBC_2.34", f"GLIBC_{version}".encode()
    data = path.read_bytes()
    assert data.count(elf_hash(have)) == 1 and have in data and len(have) == len(want)
    path.write_bytes(data.replace(elf_hash(have), elf_hash(want)).replace(have, want))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("version, state", [("2.34", "ok"), ("2.99", "failed")])
def test_what_an_engine_loads_while_it_works(docker, llem, tmp_path, inside, version, state):
    """A library in its folder, or among its other files, that the image's C library is too old for."""
    native = tmp_path / "native"
    native.mkdir()
    folder = toy.install(llem, descriptor=lambda tree: tree["files"].append(str(native)))
    object_of((folder if inside else native) / "libfast.so", version)
    rows = doctor(llem, study(tmp_path, docker.image("python"), backend="toy", model="m"), 0 if state == "ok" else 1)
    assert rows["container.glibc"]["state"] == state, rows["container.glibc"]["found"]
    assert state == "ok" or "libfast.so needs glibc 2.99, the image has 2." in rows["container.glibc"]["found"]


def test_limits_that_are_refused_are_not_a_missing_toolkit(docker, llem, tmp_path):
    """Upstream's answer to any failure of its container was that the toolkit is not configured."""
    path = study(tmp_path, docker.image("base"), runner={"ulimits": ["nofile=9000000:9000000"]})
    row = doctor(llem, path, 1)["container.start"]
    assert row["state"] == "failed" and "limit" in row["found"] and "toolkit" not in row["found"]


# --- GPUs: required only by runs that need one


def test_boards_inside_are_those_asked_for(docker, llem, tmp_path, boards):
    boards()
    rows = doctor(llem, study(tmp_path, docker.image("cuda13"), **{"sim.device": "gpu", "gpus": [B]}))
    assert rows["container.gpus"]["state"] == "ok" and rows["container.gpus"]["found"] == "1 of 1: driver 580.65.06, CUDA 13.0"
    assert rows["container.nvidia_smi"]["state"] == "evidence"
    assert B in rows["container.nvidia_smi"]["found"] and A not in rows["container.nvidia_smi"]["found"]
    assert rows["gpu.driver"]["found"] == "driver 580.65.06, CUDA 13.0, 2 boards"
    assert "simulated" in rows["container.cuda"]["found"]
    rows = doctor(llem, study(tmp_path, docker.image("cuda13"), **{"sim.device": "gpu", "gpus": [1, 0]}))
    assert rows["container.gpus"]["found"].startswith("2 of 2: ")
    assert rows["container.gpus"]["of"].endswith(" for sim, 2 GPUs: 1, 0") and rows["gpu.boards"]["of"] == "2 GPUs of gpus: 1, 0"


def test_an_instance_comes_with_its_board(docker, llem, tmp_path, boards):
    """A container that is given an instance of a divided board (MIG) sees the board, too; no other instance."""
    boards(devices=[{"uuid": A, "instances": [{"uuid": "MIG-11"}, {"uuid": "MIG-22"}]}, {"uuid": B}])
    path = study(tmp_path, docker.image("base"), runner={"environment": ["LLEM_NVML_SIM"]}, **{"sim.device": "gpu", "gpus": ["MIG-22"]})
    row = doctor(llem, path)["container.gpus"]
    assert row["state"] == "ok" and row["found"].startswith("1 of 1"), row


def test_runs_without_a_gpu_ask_for_none(docker, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, docker.image("cuda13")))
    assert not [check for check in rows if check.startswith(("gpu.", "container.gpus"))]


def test_a_host_without_a_driver(docker, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, docker.image("base"), **{"sim.device": "gpu"}), 1, env={"LLEM_NVML_LIBRARY": "/nowhere"})
    assert rows["gpu.driver"]["state"] == "failed"
    assert rows["container.gpus"]["state"] == "absent"  # what is wrong is told once


def test_boards_that_are_not_there_hide_nothing(docker, llem, tmp_path, boards):
    """What else is wrong with the image is told at once."""
    boards()
    path = study(tmp_path, docker.image("oldglibc"), **{"sim.device": "gpu", "gpus": [7]})
    rows = doctor(llem, path, 1)
    assert rows["gpu.boards"]["state"] == "failed" and "7" in rows["gpu.boards"]["found"]
    assert rows["container.glibc"]["found"] == "llem-worker needs glibc 2.34, the image has 2.31"


def test_library_and_kernel_of_different_drivers(docker, llem, tmp_path, boards):
    boards()
    (tmp_path / "sys/proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "sys/proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  575.57.08  Sat May 24 2025\n")  # fmt: skip
    path = study(tmp_path, docker.image("base"), **{"sim.device": "gpu"})
    row = doctor(llem, path, 1, env={"LLEM_SYSROOT": str(tmp_path / "sys")})["gpu.driver"]
    assert row["state"] == "failed" and "580.65.06" in row["found"] and "575.57.08" in row["found"]


@pytest.mark.parametrize("fields, code, state", [({"sim.device": "gpu"}, 1, "failed"), ({"backend": "toy", "model": "m"}, 0, "warning")])
def test_a_library_that_does_not_start_names_both_drivers(docker, llem, build_dir, tmp_path, boards, fields, code, state):
    """As it is after an update of the driver: NVML says that its module is another's, and no number."""
    toy.install(llem)
    boards(faults=[{"call": "nvmlInit_v2", "return": "LIB_RM_VERSION_MISMATCH"}])
    library = tmp_path / "libnvidia-ml.so.580.65.06"
    shutil.copy(build_dir / "lib" / "libllem-nvml-sim.so", library)
    (tmp_path / "libnvidia-ml.so.1").symlink_to(library.name)
    (tmp_path / "sys/proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "sys/proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  575.57.08  Sat May 24 2025\n")  # fmt: skip
    env = {"LLEM_SYSROOT": str(tmp_path / "sys"), "LLEM_NVML_LIBRARY": str(tmp_path / "libnvidia-ml.so.1")}
    rows = doctor(llem, study(tmp_path, docker.image("python"), **fields), code, env=env)
    assert rows["gpu.driver"]["state"] == state and rows["gpu.boards"]["state"] == "absent"
    assert "580.65.06" in rows["gpu.driver"]["found"] and "575.57.08" in rows["gpu.driver"]["found"]
    assert "reboot" in rows["gpu.driver"]["found"]


def test_toolkit_that_is_missing(own_docker, llem, tmp_path, boards):
    """`docker info` is the same with and without one that works: the verdict is a container's."""
    own_docker.close()
    own_docker.wait_end()
    own_docker.start(nvidia=False)
    boards()
    rows = doctor(llem, study(tmp_path, own_docker.image("base"), **{"sim.device": "gpu"}), 1)
    assert rows["container.start"]["state"] == "failed" and "toolkit" in rows["container.start"]["found"].lower()
    assert rows["gpu.toolkit"]["state"] in ("absent", "evidence")
    assert rows["container.engine"]["state"] == rows["container.glibc"]["state"] == "ok"  # what else there is to know
    assert rows["container.gpus"]["state"] == "absent"


@pytest.mark.parametrize("kind, cuda, state, said", [
    ("cuda12", 13000, "ok", ["OK: ", "CUDA 12.4.1", "CUDA 13.0"]),
    ("cuda13", 13000, "ok", ["OK: ", "CUDA 13.0.1", "CUDA 13.0"]),
    ("cuda12", 12080, "ok", ["OK: ", "CUDA 12.4.1", "CUDA 12.8"]),
    ("cudafuture", 13000, "failed", ["will fail: ", "CUDA 99.0.0", "CUDA 13.0", "requires cuda>=99.0"]),
])
def test_cuda_of_the_image_against_the_driver(docker, llem, tmp_path, boards, kind, cuda, state, said):
    """Upstream looked at a CUDA 12.0 image, whatever was to run."""
    boards(cuda_version=cuda)
    path = study(tmp_path, docker.image(kind), **{"sim.device": "gpu"})
    rows = doctor(llem, path, 0 if state == "ok" else 1)
    assert rows["gpu.image_cuda"]["state"] == state
    assert all(part in rows["gpu.image_cuda"]["found"] for part in said), rows["gpu.image_cuda"]["found"]
    if state == "failed":  # and the toolkit itself says so
        assert rows["container.start"]["state"] == "failed"


@pytest.mark.parametrize("image_cuda, state, said", [
    ("13.1.0", "ok", "minor-version compatibility: the image is built for CUDA 13.1.0, the host's driver 580.65.06 has CUDA 13.0"),
    ("14.0.0", "warning", "needs the forward-compatibility package: the image is built for CUDA 14.0.0, the host's driver 580.65.06 has"),
])
def test_an_image_that_requires_nothing_is_judged_by_its_version(docker, llem, tmp_path, boards, image_cuda, state, said):
    boards()
    image = docker.image("base", name=f"llem-test/of-{image_cuda}", env={"CUDA_VERSION": image_cuda})
    row = doctor(llem, study(tmp_path, image, **{"sim.device": "gpu"}))["gpu.image_cuda"]
    assert row["state"] == state and row["found"].startswith(said), row
    assert ("place" in row) == (state == "warning")


# --- Before a study


def test_a_study_is_not_begun_and_every_finding_is_told(docker, llem, tmp_path):
    path = study(tmp_path, docker.image("oldglibc"), runner={"shm_size": "900g"})
    done = llem.run("run", path, timeout=180)
    assert done.returncode == 2
    assert "llem-worker needs glibc 2.34, the image has 2.31" in done.stderr and "900" in done.stderr
    numbers = [(int(i), int(n)) for i, n in re.findall(r"\((\d+) of (\d+)\)\n", done.stderr)]
    assert len(numbers) >= 3 and numbers == [(i + 1, len(numbers)) for i in range(len(numbers))]  # in the order of the text
    assert not list(tmp_path.glob("results/*"))


def test_what_to_do_is_told_of_each_finding(docker, llem, tmp_path):
    """Two engines in images with the same fault: two findings with their numbers, one remedy."""
    toy.install(llem)
    image = docker.image("oldglibc")
    path = study(tmp_path, image, **{"runners.toy": f"docker:{image}", "max_input_tokens": 1000})
    path.write_text(path.read_text().replace('"backend": "sim"', '"sweep": {"backend": ["sim", "toy"]}'))
    done = llem.run("doctor", path, timeout=180)
    assert done.returncode == 1
    told = re.findall(r"^  (\d+)\. (\S+) \(", done.stdout, re.M)
    assert [int(number) for number, _ in told] == list(range(1, len(told) + 1))
    rows = [row for row in json.loads(llem.run("doctor", path, "--json", timeout=180).stdout) if row["state"] in ("warning", "failed")]
    assert [check for _, check in told] == [row["check"] for row in rows]
    assert [check for _, check in told].count("container.glibc") == 2


def test_an_image_that_comes_is_looked_at(docker, registry, llem, tmp_path):
    """It is pulled before it is looked at, and both before the first run."""
    name = registry.push("llem/old:1", images.build("oldglibc"))
    done = llem.run("run", study(tmp_path, name), timeout=180)
    assert done.returncode == 2 and f"pulling {name}" in done.stderr
    assert "llem-worker needs glibc 2.34, the image has 2.31" in done.stderr
    docker.run("rmi", "-f", name)


def test_ctrl_c_while_it_is_looked_at(docker, llem, tmp_path):
    """An engine that takes its time to be imported: nothing is left, and no study was begun."""
    toy.install(llem, program="import time\ntime.sleep(600)\n")
    process = llem.start("run", study(tmp_path, docker.image("python"), backend="toy", model="m"))
    while not docker.containers():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert docker.containers() == []
    assert not list(tmp_path.glob("results/*")) and not list(tmp_path.glob(".llem-preflight*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_doctor_that_is_told_to_end(docker, llem, tmp_path, number):
    """The container that it looks into ends, and the folder that was made for it goes; no verdict is given."""
    toy.install(llem, program="import time\ntime.sleep(600)\n")
    process = llem.start("doctor", study(tmp_path, docker.image("python"), backend="toy", model="m"))
    while not docker.containers():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, out + err
    assert out == "" and "interrupted before everything was looked at" in err
    assert docker.containers() == [] and not list(tmp_path.glob("**/.llem-preflight*"))


def test_what_a_killed_look_left_goes_with_the_next(docker, llem, tmp_path):
    toy.install(llem, program="import time\ntime.sleep(600)\n")
    process = llem.start("run", study(tmp_path, docker.image("python"), backend="toy", model="m"))
    while not docker.containers():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    [left] = llem.folder.glob(".llem-preflight*")
    while docker.containers():  # it hears that llem is dead
        time.sleep(0.1)
    old = time.time() - 3600
    os.utime(left, (old, old))
    doctor(llem, study(tmp_path, docker.image("base")))
    assert not list(llem.folder.glob(".llem-preflight*"))


def test_one_line_says_what_takes_its_time(docker, llem, tmp_path):
    """An engine may take minutes to be imported: who waits is told, once for each place."""
    image = docker.image("base")
    path = study(tmp_path, image, sweep={"sim.threads": [1, 2]})
    done = llem.run("doctor", path, timeout=180)
    assert done.stderr == f"looking into docker:{image}: sim is started there once\n"
    assert llem.run("run", path, timeout=180).stderr.count("looking into ") == 1
    assert "looking into" not in llem.run("run", path, "--quiet", timeout=180).stderr
    assert "looking into" not in llem.run("run", path, "--skip-preflight", timeout=180).stderr


def test_looking_fetches_nothing(docker, llem, tmp_path):
    """Whatever a study would do: what is here is looked at, also where there is no registry."""
    rows = doctor(llem, study(tmp_path, docker.image("base"), runner={"pull": "always"}))
    assert set(states(rows).values()) == {"ok"}


def test_every_container_that_looks_is_ours(docker, llem, tmp_path):
    """The one that asks an old C library for its version, too: by its labels it is swept where llem is killed."""
    image, since = docker.image("oldglibc", name="llem-test/asked", labels={"of": "this test"}), time.time()
    doctor(llem, study(tmp_path, image), 1)
    events = docker.ok("events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", "--filter", "event=create",
                       "--format", "{{json .Actor.Attributes}}")  # fmt: skip
    ours = [row for row in map(json.loads, events.splitlines()) if row["image"] == docker.image_id(image)]
    assert len(ours) == 2
    for row in ours:
        assert row["org.llenergymeasure.run"] == "1" and row["org.llenergymeasure.owner"].count(":") == 3
        assert row["name"].startswith("llem-")


def test_skip_preflight(docker, llem, tmp_path):
    path = study(tmp_path, docker.image("oldglibc"))
    done = llem.run("run", path, "--skip-preflight", timeout=180)
    assert done.returncode == 1 and "glibc" in done.stdout + done.stderr
    assert list(tmp_path.glob("results/*"))


def test_plan_starts_nothing(docker, llem, tmp_path):
    path, since = study(tmp_path, docker.image("oldglibc"), random_seed=104), time.time()
    assert llem.run("plan", path).returncode == 0
    assert not made(docker, llem, path, since)


# --- Podman


@pytest.fixture
def podman(docker, llem, build_dir):
    reason = podmen.why_not()
    if reason:
        pytest.skip(f"needs:podman {reason}")
    podman = podmen.Podman(build_dir / "podman", docker)
    llem.env |= podman.env()
    yield podman
    podmen.end(podman)


def test_podman(podman, llem, tmp_path):
    rows = doctor(llem, study(tmp_path, podman.image("base"), kind="podman"))
    assert set(states(rows).values()) == {"ok"}
    assert rows["container.client"]["found"].startswith("podman ")


def test_podman_does_not_pass_over_gpus(podman, llem, tmp_path, boards):
    """`podman run --gpus all` gives none and says nothing: its own syntax fails where there is no CDI device."""
    boards()
    rows = doctor(llem, study(tmp_path, podman.image("base"), kind="podman", **{"sim.device": "gpu"}), 1)
    assert rows["container.start"]["state"] == "failed" or rows["container.gpus"]["state"] == "failed"
    assert daemons.why_not() is None
