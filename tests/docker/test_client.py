"""Room container against real clients and daemons: what they say and do is what src/container takes it for.

Asked through container_tool (tests/unit/container/tool.c), which is the room and nothing else.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import daemon as daemons
import images
import podman as podmen
import pytest

OWNER = "org.llenergymeasure.owner"
BUSYBOX = "/bin/busybox"
EAT = [BUSYBOX, "sh", "-c", "a=x; while :; do a=$a$a; done"]


class Client:
    """container_tool with one client."""

    def __init__(self, build_dir, kind, engine, env):
        self.tool, self.kind, self.engine, self.env = build_dir / "tests" / "container_tool", kind, engine, env

    def command(self, verb, *words):
        return [str(self.tool), self.kind, verb, *(w if isinstance(w, str) else json.dumps(w) for w in words)]

    def ask(self, verb, *words, env=None, **options):
        """The answer; a refusal is one too ("error" is in it)."""
        options = {"capture_output": True, "text": True, "timeout": 150, **options}
        done = subprocess.run(self.command(verb, *words), env=self.env | (env or {}), **options)
        assert done.stdout, f"{done.args}: exit {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout)

    def run(self, image="llem-test/base", **spec):
        spec.setdefault("name", f"llem-test-{time.monotonic_ns()}")
        return self.ask("run", {"image": image, **spec})


@pytest.fixture
def docker_client(docker, build_dir):
    docker.image("base")
    return Client(build_dir, "docker", docker, daemons.environment(docker.host))


@pytest.fixture
def podman_client(docker, build_dir):
    reason = podmen.why_not()
    if reason:
        pytest.skip(f"needs:docker {reason}")
    podman = podmen.Podman(build_dir / "podman", docker)
    podman.image("base")
    return Client(build_dir, "podman", podman, daemons.environment() | podman.env())


@pytest.fixture(params=["docker", "podman"])
def client(request):
    return request.getfixturevalue(f"{request.param}_client")


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


# The table of real messages


class Case:
    def __init__(self, name, docker, podman, words=None, **spec):
        self.name, self.expected, self.words, self.spec = name, {"docker": docker, "podman": podman}, words, spec


CASES = [
    Case("no such image", "ImageMissing", "ImageMissing", "nosuch/image:1", image="nosuch/image:1"),
    Case("no such id", "ImageMissing", "ImageMissing", image="sha256:" + "0" * 64),
    Case("no such board", "GpuNotFound", "GpuToolkitMissing", "GPU-nosuch", gpus=["GPU-nosuch"]),
    Case("mount of nothing", "MountDenied", "MountDenied", "/nosuch/x", mount={"host": "/nosuch/x", "inside": "/x"}),
    Case("mount over a folder", "MountDenied", "MountDenied", mount={"host": "/etc/passwd", "inside": "/etc"}),
    Case("mount into sysfs", "MountDenied", "MountDenied", mount={"host": "/tmp", "inside": "/sys/class/llem"}),
    Case("no such device: 127 of the daemon's", "MountDenied", "MountDenied", "/dev/nosuch", extra=["--device", "/dev/nosuch"]),
    Case("no such runtime of NVIDIA's", "GpuToolkitMissing", "GpuToolkitMissing", extra=["--runtime", "nvidia"]),
    Case("limit on locked memory", "LimitsRefused", "LimitsRefused", "rlimit", ulimits=["rtprio=99"]),
    Case("capabilities", "LimitsRefused", None, extra=["--privileged"]),
    Case("score of the memory killer", "LimitsRefused", "LimitsRefused", extra=["--oom-score-adj", "-500"]),
    Case("more CPUs than there are", "LimitsRefused", None, cpus="99"),
    Case("CPUs that are not there", "LimitsRefused", "LimitsRefused", extra=["--cpuset-cpus", "77"]),
    Case("less memory than a process needs", "LimitsRefused", "LimitsRefused", memory="1m"),
    Case("a user without a number", "LimitsRefused", "LimitsRefused", user="nosuch"),
    Case("an argument that no client has", "ConfigError", "ConfigError", extra=["--nosuch"]),
    Case("a network that is not there", "ConfigError", "ConfigError", network="nosuch"),
    Case("two networks", "ConfigError", "ConfigError", extra=["--network", "nosuch"]),
    Case("program not there", "EntryPointError", "EntryPointError", "/nosuch", entrypoint="/nosuch"),
    Case("program not there, without init", "EntryPointError", "EntryPointError", "/nosuch", entrypoint="/nosuch", init=False),
    Case("program not in PATH", "EntryPointError", "EntryPointError", "nosuch", entrypoint="nosuch"),
    Case("program not in PATH, without init", "EntryPointError", "EntryPointError", "nosuch", entrypoint="nosuch", init=False),
    Case("program is a folder", "EntryPointError", "EntryPointError", entrypoint="/etc"),
    Case("program may not be run", "EntryPointError", "EntryPointError", entrypoint="/etc/passwd"),
    Case("program may not be run, without init", "EntryPointError", "EntryPointError", entrypoint="/etc/passwd", init=False),
    Case("memory of the cgroup", "OutOfMemory", "ContainerKilled", arguments=EAT, memory="32m", extra=["--memory-swap", "32m"]),
    Case("memory of a child alone", "OutOfMemory", "WorkerDied", memory="32m", extra=["--memory-swap", "32m"],
         arguments=[BUSYBOX, "sh", "-c", "(a=x; while :; do a=$a$a; done); exit 3"]),
    Case("segmentation fault", "WorkerDied", "WorkerDied", "signal 11", arguments=[BUSYBOX, "sh", "-c", "kill -SEGV $$"]),
    Case("its own exit status", "WorkerDied", "WorkerDied", "exit status 3", arguments=[BUSYBOX, "sh", "-c", "exit 3"]),
    Case("its own 125", "WorkerDied", "WorkerDied", "exit status 125", began=True, arguments=[BUSYBOX, "sh", "-c", "exit 125"]),
    Case("its own 127", "WorkerDied", "WorkerDied", "exit status 127", began=True, arguments=[BUSYBOX, "sh", "-c", "exit 127"]),
    Case("GPU memory, by the log alone", "GpuOutOfMemory", "GpuOutOfMemory", arguments=[BUSYBOX, "sh", "-c", "exit 1"], began=True,
         log="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_real_messages(client, case):
    expected = case.expected[client.kind]
    answer = client.run(**{"arguments": [BUSYBOX, "true"], **case.spec})
    if expected is None:  # this client does not refuse it, or says another way
        return
    assert answer.get("class") == expected, answer
    assert (case.words or "") in answer["text"], answer
    if expected != "WorkerDied":
        assert answer["remedy"], answer


def test_name_conflict(client):
    name = f"llem-test-clash-{time.monotonic_ns()}"
    client.engine.ok("run", "-d", "--network", "none", "--name", name, "llem-test/base", BUSYBOX, "sleep", "100")
    try:
        answer = client.run(name=name, arguments=[BUSYBOX, "true"])
        assert (answer["class"], name in answer["text"]) == ("ContainerNameConflict", True), answer
    finally:
        client.ask("remove", name)


def test_library_missing(client, tmp_path):
    """A program whose library is not in the image: the loader's 127, which is no daemon's."""
    program = shutil.which("openssl") or shutil.which("git")
    answer = client.run(mount={"host": os.path.realpath(program), "inside": "/opt/program"}, entrypoint="/opt/program")
    assert answer["class"] == "LibraryMissing" and ".so" in answer["text"], answer


def test_old_glibc(docker_client, docker, build_dir):
    docker.image("oldglibc")
    worker = {"host": str(build_dir / "bin" / "llem-worker"), "inside": "/opt/llem-worker"}
    answer = docker_client.run(image="llem-test/oldglibc", mount=worker, entrypoint="/opt/llem-worker")
    assert answer["class"] == "LibraryMissing" and "GLIBC_" in answer["text"], answer


def test_killed_from_outside(client):
    name = f"llem-test-kill-{time.monotonic_ns()}"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.run(name=name, arguments=[BUSYBOX, "sleep", "100"])))
    thread.start()
    wait_for(lambda: client.ask("running", name).get("running"))
    assert "error" not in client.ask("kill", name)
    thread.join(60)
    assert answers and answers[0]["class"] == "ContainerKilled", answers
    assert answers[0]["exit"] == 137 and answers[0]["oom"] is False


def test_no_toolkit(own_docker, build_dir):
    own_docker.close()
    own_docker.wait_end()
    own_docker.start(nvidia=False)
    own_docker.image("base")
    client = Client(build_dir, "docker", own_docker, daemons.environment(own_docker.host))
    answer = client.run(gpus=["GPU-a", "GPU-b"], arguments=[BUSYBOX, "true"])
    assert answer["class"] == "GpuToolkitMissing" and "docs/docker.md" in answer["remedy"], answer


def test_boards_by_uuid(docker_client):
    """Two boards in one option, which docker reads as CSV; the hook is told just those."""
    boards = [f"GPU-00000000-0000-4000-8000-00000000000{i}" for i in range(2)]
    answer = docker_client.run(gpus=boards, arguments=[BUSYBOX, "env"])
    assert answer["exit"] == 0, answer
    assert f"NVIDIA_VISIBLE_DEVICES={','.join(boards)}" in answer["out"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in answer["out"]
    answer = docker_client.run(arguments=[BUSYBOX, "env"])
    assert "NVIDIA_VISIBLE_DEVICES=void" in answer["out"]


# Daemons that cannot be used


def test_daemon_facts(client):
    answer = client.ask("daemon")
    assert answer["kind"] == client.kind and answer["kernel"] == os.uname().release
    assert answer["os_arch"] == f"linux/{images.ARCHITECTURE}" and "runc" in answer["runtimes"]
    assert os.path.isdir(answer["root_dir"]) and answer["memory_bytes"] > 1 << 28


def test_daemon_not_running(docker_client, tmp_path):
    for verb, *words in (["daemon"], ["inspect", "x"], ["stop", "x"], ["sweep"]):
        answer = docker_client.ask(verb, *words, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
        assert answer["error"] == "DaemonNotRunning", answer
        assert "start" in answer["message"] and "group" not in answer["message"]


def test_daemon_permission(docker_client, docker, tmp_path):
    os.chmod(tmp_path, 0o777)
    done = subprocess.run(docker_client.command("daemon"), user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
                          env=docker_client.env | {"HOME": "/nonexistent"})  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["error"] == "DaemonPermission" and "group" in answer["message"], answer


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "ssh://user@elsewhere"])
def test_remote_by_variable(docker_client, host):
    answer = docker_client.ask("daemon", env={"DOCKER_HOST": host})
    assert answer["error"] == "DaemonRemote", answer
    assert all(w in answer["message"] for w in ("clock", "files", host.split("://")[1], "DOCKER_HOST")), answer


@pytest.mark.parametrize("how", ["variable", "chosen"])
def test_remote_by_context(docker_client, docker, tmp_path, how):
    env = {k: v for k, v in docker_client.env.items() if k != "DOCKER_HOST"} | {"DOCKER_CONFIG": str(tmp_path)}
    create = ["docker", "context", "create", "far", "--docker", "host=tcp://127.0.0.1:2375"]
    subprocess.run(create, env=env, check=True, capture_output=True)
    if how == "variable":
        env |= {"DOCKER_CONTEXT": "far"}
    else:
        subprocess.run(["docker", "context", "use", "far"], env=env, check=True, capture_output=True)
    docker_client.env = env
    answer = docker_client.ask("daemon")
    assert answer["error"] == "DaemonRemote", answer
    assert ("DOCKER_CONTEXT" if how == "variable" else "docker context use default") in answer["message"]


def test_context_that_is_not_there(docker_client):
    docker_client.env = {k: v for k, v in docker_client.env.items() if k != "DOCKER_HOST"} | {"DOCKER_CONTEXT": "nosuch"}
    answer = docker_client.ask("daemon")
    assert answer["error"] == "ConfigError" and "nosuch" in answer["message"], answer


def test_podman_remote(podman_client):
    answer = podman_client.ask("daemon", env={"CONTAINER_HOST": "ssh://user@elsewhere/run/podman.sock"})
    assert answer["error"] == "DaemonRemote" and "CONTAINER_HOST" in answer["message"], answer


def test_client_missing(docker_client, tmp_path):
    for kind in ("podman", "-"):
        docker_client.kind = kind
        answer = docker_client.ask("daemon", env={"PATH": str(tmp_path)})
        assert answer["error"] == "ContainerClientMissing", answer


def test_docker_that_is_podman(podman_client, tmp_path):
    """The package podman-docker puts a `docker` there that is podman: it is spoken to as podman."""
    (tmp_path / "docker").symlink_to(shutil.which("podman"))
    podman_client.kind = str(tmp_path / "docker")
    assert podman_client.ask("daemon")["kind"] == "podman"


def test_docker_client_of_podmans_service(docker_client, podman_client, tmp_path):
    """It takes --gpus and gives nothing, with exit 0."""
    path = f"unix://{tmp_path}/podman.sock"
    service = subprocess.Popen(["podman", "system", "service", "--time", "0", path], env=podman_client.env)
    try:
        wait_for(lambda: os.path.exists(f"{tmp_path}/podman.sock"))
        answer = docker_client.ask("daemon", env={"DOCKER_HOST": path})
        assert answer["error"] == "UnsupportedError" and "podman" in answer["message"], answer
    finally:
        service.terminate()
        service.wait()


def test_daemon_that_hangs(own_docker, build_dir):
    """No question waits for ever: it says what was asked and how long."""
    client = Client(build_dir, "docker", own_docker, daemons.environment(own_docker.host))
    pid = own_docker.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = client.ask("daemon")
        assert answer["error"] == "TimeoutError" and "cannot use docker" in answer["message"], answer
        assert time.monotonic() - began < 40
    finally:
        os.kill(pid, signal.SIGCONT)


def test_something_else_named_docker(docker_client, tmp_path):
    fake = tmp_path / "docker"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    docker_client.kind = str(fake)
    assert docker_client.ask("daemon")["error"] == "ContainerClientMissing"


# Daemons that go away


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_daemon_lost(own_docker, build_dir, how):
    own_docker.image("base")
    client = Client(build_dir, "docker", own_docker, daemons.environment(own_docker.host))
    name, answers = "llem-test-lost", []
    spec = {"name": name, "arguments": [BUSYBOX, "sleep", "100"], "began": True}
    thread = threading.Thread(target=lambda: answers.append(client.run(**spec)))
    thread.start()
    wait_for(lambda: client.ask("running", name).get("running"))
    own_docker.kill(getattr(signal, how))
    thread.join(60)
    assert answers and answers[0]["class"] == "DaemonLost", answers
    own_docker.start()
    if how == "SIGTERM":  # the new one knows nothing of what was before; one that was killed left it the container
        assert client.ask("events", name)["forgotten"] is True
    assert "error" not in client.ask("remove", name)


# Images


def test_inspect(client):
    answer = client.ask("inspect", "llem-test/base")
    assert answer["id"].startswith("sha256:") and answer["digest"] is None and answer["size_bytes"] > 1 << 20
    assert answer["os_arch"] == f"linux/{images.ARCHITECTURE}" and any(e.startswith("PATH=") for e in answer["env"])
    assert client.ask("inspect", answer["id"])["id"] == answer["id"]
    answer = client.ask("inspect", "nosuch:1")
    assert answer["error"] == "ImageMissing" and "nosuch:1" in answer["message"], answer


def test_inspect_is_no_option(client):
    answer = client.ask("inspect", "--help")
    assert answer.get("error"), answer


def test_inspect_cuda(docker_client, docker):
    docker.image("cuda12")
    answer = docker_client.ask("inspect", "llem-test/cuda12")
    assert answer["cuda_version"].startswith("12.") and answer["require_cuda"].startswith("cuda>="), answer


def test_pull(docker_client, docker, registry):
    name = registry.push("llem/pulled:1", images.build("base", labels={"n": "1"}))
    answer = docker_client.ask("pull", name, "60")
    assert "error" not in answer and any("Digest" in line for line in answer["progress"]), answer
    found = docker_client.ask("inspect", name)
    assert found["digest"] and found["digest"].endswith(registry.digest_of(name)), found
    docker.run("rmi", name)


@pytest.mark.parametrize("what", ["tag", "repository"])
def test_pull_of_nothing(docker_client, registry, what):
    name = registry.push("llem/pulled:1", images.build("base"))
    name = f"{name}x" if what == "tag" else name.replace("llem/pulled", "llem/nosuch")
    answer = docker_client.ask("pull", name, "60")
    assert answer["error"] == "ImageMissing" and name in answer["message"], answer


def test_pull_without_registry(docker_client):
    answer = docker_client.ask("pull", "127.0.0.1:1/x:1", "60")
    assert answer["error"] == "ImagePullError" and "docker load" in answer["message"], answer


def test_pull_has_its_own_limit(docker_client, registry):
    name = registry.push("llem/slow:1", images.build("base", labels={"n": "2"}))
    registry.delay_s = 60
    began = time.monotonic()
    answer = docker_client.ask("pull", name, "2")
    registry.delay_s = 0
    assert answer["error"] == "TimeoutError" and name in answer["message"], answer
    assert time.monotonic() - began < 20


def test_disk_full(docker_client, registry, tmp_path):
    """A daemon whose disk is too small for the image."""
    folder = tmp_path / "small"
    (folder / "data").mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "small", folder / "data"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs:tmpfs {done.stderr}")
    own = daemons.Daemon(folder).start()
    try:
        name = registry.push("llem/big:1", images.build("base"))
        client = Client(docker_client.tool.parent.parent, "docker", own, daemons.environment(own.host))
        answer = client.ask("pull", name, "60")
        assert answer["error"] == "DiskFull", answer
    finally:
        own.close()
        own.wait_end()
        subprocess.run(["umount", "-l", folder / "data"], capture_output=True)


# Ending containers


def start(client, name, *command, labels=()):
    options = [f"--label={label}" for label in labels]
    client.engine.ok("run", "-d", "--rm", "--init", "--network", "none", "--name", name, *options, "llem-test/base", *command)


def test_ladder_without_a_client(client):
    """The client of the run is dead; the container is ended by its name all the same."""
    name = f"llem-test-orphan-{time.monotonic_ns()}"
    process = subprocess.Popen([client.kind, "run", "--rm", "--init", "--pull", "never", "--network", "none", "--name", name,
                                "llem-test/base", BUSYBOX, "sleep", "100"], env=client.env, stdout=subprocess.DEVNULL)  # fmt: skip
    wait_for(lambda: client.ask("running", name).get("running"))
    process.kill()
    process.wait()
    assert client.ask("running", name)["running"] is True
    assert "error" not in client.ask("stop", name, "5")
    assert client.ask("running", name)["running"] is False
    assert "error" not in client.ask("remove", name)


def test_stop_of_one_that_ignores(client):
    name = f"llem-test-deaf-{time.monotonic_ns()}"
    start(client, name, BUSYBOX, "sh", "-c", "trap '' TERM INT; while :; do sleep 1; done")
    began = time.monotonic()
    assert "error" not in client.ask("stop", name, "1")
    assert time.monotonic() - began < 15
    assert client.ask("running", name)["running"] is False


@pytest.mark.parametrize("verb", ["stop", "kill", "remove"])
def test_absent_is_fine(client, verb):
    assert client.ask(verb, "llem-test-never-was") == {}
    assert client.ask("running", "llem-test-never-was") == {"running": False}


@pytest.mark.parametrize("verb", ["stop", "kill", "remove"])
def test_stopped_is_fine(client, verb):
    name = f"llem-test-done-{time.monotonic_ns()}"
    client.engine.ok("run", "--network", "none", "--name", name, "llem-test/base", BUSYBOX, "true")
    assert client.ask(verb, name) == {}
    client.ask("remove", name)


def test_events_after_rm(client):
    answer = client.run(name="llem-test-ev", arguments=[BUSYBOX, "sh", "-c", "sleep 0.2; exit 7"])
    assert answer["asked"] and answer["started"] and answer["died"] and answer["end_code"] == 7, answer
    assert 150e6 < answer["lived_ns"] < 60e9


# The sweep


def owner_of(client):
    """The label of a process that is dead by now."""
    return client.ask("owner")["owner"]


@pytest.fixture(params=["docker", "podman"])
def lone_client(request, build_dir, tmp_path_factory):
    """With a daemon or a store of its own: in a shared one any other test's start sweeps too."""
    if request.param == "docker":
        own = request.getfixturevalue("own_docker")
        own.image("base")
        yield Client(build_dir, "docker", own, daemons.environment(own.host))
        return
    podman = podmen.Podman(tmp_path_factory.mktemp("podman"), request.getfixturevalue("docker"))
    podman.image("base")
    yield Client(build_dir, "podman", podman, daemons.environment() | podman.env())
    podmen.end(podman)


def test_sweep(lone_client):
    """Of four containers the one is removed whose owner is dead: not that of a living one, not one without our label, not one
    whose owner cannot be read."""
    client = lone_client
    mark = time.monotonic_ns()
    holder = subprocess.Popen(["sleep", "1000"])
    living = live_label(client, holder.pid)
    rows = {
        "dead": ["org.llenergymeasure.run=1", f"{OWNER}={owner_of(client)}"],
        "reused": ["org.llenergymeasure.run=1", f"{OWNER}={used_again(living)}"],
        "living": ["org.llenergymeasure.run=1", f"{OWNER}={living}"],
        "foreign": [f"{OWNER}={owner_of(client)}"],
        "torn": ["org.llenergymeasure.run=1", f"{OWNER}=what"],
    }
    names = {key: f"llem-test-{key}-{mark}" for key in rows}
    try:
        for key, labels in rows.items():
            start(client, names[key], BUSYBOX, "sleep", "1000", labels=labels)
        answer = client.ask("sweep")
        assert "error" not in answer
        assert {names["dead"], names["reused"]} <= set(answer["removed"]), answer
        assert not {names["living"], names["foreign"], names["torn"]} & set(answer["removed"])
        assert client.ask("running", names["living"])["running"] is True
        assert client.ask("running", names["dead"])["running"] is False
        holder.kill()
        holder.wait()
        assert names["living"] in client.ask("sweep")["removed"]
    finally:
        holder.kill()
        for name in names.values():
            client.ask("remove", name)


def live_label(client, pid):
    boot, _, _, namespace = owner_of(client).split(":")
    ticks = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19]
    return f"{boot}:{pid}:{ticks}:{namespace}"


def used_again(label):
    boot, pid, ticks, namespace = label.split(":")
    return f"{boot}:{pid}:{int(ticks) - 1}:{namespace}"


def test_sweep_leaves_another_users_live_study(docker_client):
    """Its owner is a process of another user, which lives."""
    holder = subprocess.Popen(["sleep", "1000"], user=65534, group=65534, extra_groups=[])
    name = f"llem-test-other-{time.monotonic_ns()}"
    try:
        labels = ["org.llenergymeasure.run=1", f"{OWNER}={live_label(docker_client, holder.pid)}", "org.llenergymeasure.user=65534"]
        start(docker_client, name, BUSYBOX, "sleep", "1000", labels=labels)
        assert name not in docker_client.ask("sweep")["removed"]
        assert docker_client.ask("running", name)["running"] is True
    finally:
        holder.kill()
        holder.wait()
        docker_client.ask("remove", name)


# Boards by CDI


@pytest.fixture
def cdi_board():
    """A board that a CDI spec of this test has, and nobody else."""
    board, folder = f"GPU-llem-test-{os.getpid()}-{time.monotonic_ns()}", "/var/run/cdi"
    spec = {"cdiVersion": "0.3.0", "kind": "nvidia.com/gpu",
            "devices": [{"name": board, "containerEdits": {"env": [f"BOARD={board}"]}}]}  # fmt: skip
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/{board.lower()}.json"
    with open(path, "w") as file:
        json.dump(spec, file)
    yield board
    os.unlink(path)


def test_podman_boards_by_cdi(podman_client, cdi_board):
    answer = podman_client.run(gpus=[cdi_board], arguments=[BUSYBOX, "env"])
    assert answer["exit"] == 0, answer
    assert f"BOARD={cdi_board}" in answer["out"] and "--gpus" not in answer["argv"]
    answer = podman_client.run(gpus=["GPU-nosuch"], arguments=[BUSYBOX, "env"])
    assert answer["class"] == "GpuToolkitMissing" and "GPU-nosuch" in answer["text"], answer
    assert "nvidia-ctk cdi generate" in answer["remedy"]
