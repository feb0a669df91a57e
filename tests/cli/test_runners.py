"""Who runs the runs of an engine: what is written and where, in which order it counts, what it does not change, and what
becomes of an engine that does not start here. Without a container: tests/docker/test_choice.py has the others."""

import json
import re
from pathlib import Path

import pytest

import toy
from studies import check_records, the_study, write

TOY = {"backend": "toy", "model": "none", "n": 1, "max_input_tokens": 1000}
NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
BROKEN = "import sys\nsys.exit('ModuleNotFoundError: no framework on this machine')\n"
COUNTED = "import os\nopen(os.environ['TOY_STARTS'], 'a').write('started\\n')\n"
BUILDS = {"recipe": "toy", "builds": [{"upstream": "example.org/toy:1", "cuda": "12.8.1"},
                                      {"upstream": "example.org/toy:2", "cuda": "13.0.0"}]}


def plan(llem, fields=None, *words, code=0, **more):
    done = llem.run("plan", write(llem.folder / "s.yaml", fields, **more), "--json", *words)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout), done.stderr


def user_file(llem, text):
    folder = llem.folder / "user" / "llem"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(text)
    llem.env["XDG_CONFIG_HOME"] = str(folder.parent)
    return folder / "config.yaml"


def hashes(tree):
    return [cell["config_hash"] for cell in tree["cells"]]


# --- What is written, and which counts ---------------------------------------------------------------------------------


def test_the_default_is_local_and_says_so(llem):
    tree, _ = plan(llem)
    assert tree["runners"] == [{"backend": "sim", "runner": "local", "image": None, "source": "default"}]
    words = llem.ok("plan", llem.folder / "s.yaml")
    assert "  sim: local (default)\n" in words


def test_each_layer_counts_before_the_one_below(llem):
    """Environment > study > the user's file > default; where each is from is said."""
    file = user_file(llem, "runners: {sim: docker:user/image}\n")
    env = llem.env | NO_DOCKER
    path = write(llem.folder / "s.yaml")

    def source(*words):
        return [line.strip() for line in llem.run("plan", path, *words, env=env).stdout.splitlines() if " sim: " in line]

    assert source() == [f"sim: docker:user/image ({file}:1:16)"]
    tree = json.loads(path.read_text()) | {"runners": {"sim": {"use": "docker:study/image", "shm_size": "1g"}}}
    path.write_text(json.dumps(tree))
    assert source() == [f"sim: docker:study/image ({path}:1:{path.read_text().index('docker:study') + 0})"]
    env["LLEM_RUNNER_SIM"] = "podman:env/image"
    assert source() == ["sim: podman:env/image (environment LLEM_RUNNER_SIM)"]
    assert source("runners.sim=local") == ["sim: local (command line 'runners.sim=local')"]


def test_the_user_file_may_speak_of_engines_that_a_study_does_not_use(llem):
    user_file(llem, "runners: {vllm: docker:a, llamacpp: {use: docker:b, shm_size: 2g}}\n")
    tree, said = plan(llem)
    assert tree["runners"][0]["source"] == "default" and "runners" not in said
    user_file(llem, "runners: {nothing_like_it: docker:a}\n")
    done = llem.run("plan", llem.folder / "s.yaml")
    assert done.returncode == 2 and "config.yaml:1:11: error: runners.nothing_like_it: there is no engine" in done.stderr


def test_a_study_speaks_of_its_own_engines_alone(llem):
    done = llem.run("plan", write(llem.folder / "s.yaml", **{"runners.vllm": "docker:a"}))
    assert done.returncode == 2 and "runners.vllm: no cell uses the backend vllm" in done.stderr


def test_the_variable_of_an_engine_that_is_not_used_is_nobodys(llem):
    llem.env["LLEM_RUNNER_VLLM"] = "docker:a"
    tree, said = plan(llem)
    assert [row["backend"] for row in tree["runners"]] == ["sim"] and "VLLM" not in said


def test_who_runs_it_changes_no_hash(llem):
    """How many GPUs there are does."""
    base = hashes(plan(llem, {"backend": "llamacpp"}, code=2)[0])
    same = [{"runners.llamacpp": {"use": "docker:a", "memory": "4g", "cpus": 2, "ipc": "host", "pull": "never"}},
            {"gpus": [3]}, {"memory_gate.threshold_mb": 5, "memory_gate.action": "refuse", "memory_gate.settle_seconds": 0}]
    llem.env |= NO_DOCKER
    for fields in same:
        done = llem.run("config", "show", write(llem.folder / "s.yaml", {"backend": "llamacpp"} | fields), "--json")
        assert [cell["config_hash"] for cell in json.loads(done.stdout)] == base, fields
    done = llem.run("config", "show", write(llem.folder / "s.yaml", {"backend": "llamacpp", "gpus": [0, 1]}), "--json")
    other = json.loads(done.stdout)[0]
    assert other["config_hash"] != base[0] and other["hashed"]["fields"]["gpus"] == 2


@pytest.mark.parametrize("name, value, says", [
    ("use", "apptainer:x", "apptainer is not in this version"),
    ("use", "singularity", "singularity is not in this version"),
    ("use", "doker:x", "did you mean docker?"),
    ("use", "docker:", "'' is no name of an image"),
    ("use", "docker:--privileged", "is no name of an image"),
    ("shm_size", 8, "say the unit: 8m or 8g"),
    ("shm_size", "8 g", "expected a size such as 8g or 512m"),
    ("mounts", ["/nonexistent/x:/x"], "there is no file or folder /nonexistent/x"),
    ("mounts", ["/usr:inside"], "expected HOST[:INSIDE][:ro|:rw]"),
    ("mounts", ["/usr:/x:rx"], "expected HOST[:INSIDE][:ro|:rw]"),
    ("environment", ["HF_TOKEN=hf_x"], "HF_TOKEN looks like a secret: write its name alone"),
    ("environment", ["MY_API_KEY=x"], "MY_API_KEY looks like a secret"),
    ("environment", ["HOME=/x"], "llem sets HOME itself"),
    ("environment", ["A B"], "expected NAME or NAME=value"),
    ("secrets", ["MY_TOKEN=x"], "write its name alone"),
    ("ipc", "hostt", "expected none, private, shareable, host or container:NAME"),
    ("ulimits", ["nofile"], "expected NAME=SOFT[:HARD]"),
    ("ulimits", ["nofile=1", "nofile=1"], "it stands in the list already"),
    ("memory", "lots", "expected a size such as 8g or 512m"),
    ("cpus", 0, "expected a number from 0.01 to 65536"),
    ("network", "--x", "expected none, bridge, host or the name of a network"),
    ("pull", "sometimes", "expected one of missing, never, always"),
    ("arguments", ["privileged"], "--name=value"),
    ("arguments", ["--name=mine"], "--name"),
    ("arguments", ["--entrypoint=/bin/sh"], "--entrypoint"),
    ("arguments", ["--rm=false"], "--rm"),
    ("arguments", ["-it"], "write the long name"),
    ("arguments", ["-u0"], "write the long name"),
    ("arguments", ["--"], "write the long name"),
    ("arguments", ["--env=HF_TOKEN=hf_x"], "use `environment`"),
    ("arguments", ["--label=org.llenergymeasure.owner=1"], "whose a container is"),
    ("arguments", ["--device=nvidia.com/gpu=all"], "said by `gpus`"),
    ("arguments", ["--runtime=nvidia"], "said by `gpus`"),
    ("arguments", ["--memory=1g"], "use `memory`"),
    ("arguments", ["--cap-add"], "in the same text"),
    ("arguments", ["--pid=host"], "the processes that are its own"),
    ("python", "./python", "expected a name such as python3, or an absolute path"),
])
def test_every_setting_is_checked_where_it_is_written(llem, name, value, says):
    settings = {"use": "docker:a", name: value}
    path = write(llem.folder / "s.yaml", **{"runners.sim": settings})
    done = llem.run("plan", path)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert f"s.yaml:{path.read_text()[:path.read_text().index(json.dumps(name) + ':')].count(chr(10)) + 1}:" in done.stderr or \
        "s.yaml:" in done.stderr


@pytest.mark.parametrize("value", [["x"], [0, 0], "all", [-1]])
def test_gpus_are_indexes_or_uuids(llem, value):
    done = llem.run("plan", write(llem.folder / "s.yaml", {"sim.device": "gpu", "gpus": value}))
    assert done.returncode == 2 and "gpus" in done.stderr


def test_it_cannot_be_swept(llem):
    for axis in ("runners.sim.use", "runners.sim", "memory_gate.action"):
        done = llem.run("plan", write(llem.folder / "s.yaml", sweep={axis: ["local", "docker:a"]}))
        assert done.returncode == 2 and "cannot be swept" in done.stderr, done.stderr


def test_what_is_said_of_containers_has_no_effect_on_a_local_run(llem):
    _, said = plan(llem, {"runners.sim": {"use": "local", "shm_size": "1g"}})
    assert "runners.sim.shm_size has no effect here" in said


# --- Engines that do not start here ------------------------------------------------------------------------------------


def test_a_single_engine_is_an_error_that_says_what_to_write(llem):
    """Never to Docker of itself, even where Docker would be there."""
    toy.install(llem, program=BROKEN)
    done = llem.run("run", write(llem.folder / "s.yaml", TOY), "-o", llem.folder / "results")
    assert done.returncode == 2 and not (llem.folder / "results").exists()
    assert "toy cannot start on this machine: " in done.stderr and "no framework on this machine" in done.stderr
    assert "runners: {toy: docker:IMAGE}" in done.stderr


@pytest.mark.parametrize("how", ["study", "user", "environment"])
def test_an_explicit_local_is_never_overridden(llem, how):
    toy.install(llem, program=BROKEN)
    fields = dict(TOY)
    if how == "study":
        fields["runners.toy"] = "local"
    elif how == "user":
        user_file(llem, "runners: {toy: local}\n")
    else:
        llem.env["LLEM_RUNNER_TOY"] = "local"
    path = write(llem.folder / "s.yaml", fields | {"backend": "sim"}, sweep={"backend": ["sim", "toy"]})
    tree = json.loads(path.read_text())
    del tree["backend"]
    path.write_text(json.dumps(tree))
    done = llem.run("run", path, "-o", llem.folder / "results")
    assert done.returncode == 2 and not (llem.folder / "results").exists()
    assert "toy cannot start on this machine" in done.stderr and "which is not overridden" in done.stderr


def two(llem, **more):
    path = write(llem.folder / "s.yaml", {"model": "none", "max_input_tokens": 1000} | more, sweep={"backend": ["sim", "toy"]})
    tree = json.loads(path.read_text())
    del tree["backend"]
    path.write_text(json.dumps(tree))
    return path


def test_one_of_several_goes_to_docker_and_docker_must_be_there(llem):
    toy.install(llem, program=BROKEN, descriptor=lambda tree: tree.update(image=BUILDS))
    llem.env |= NO_DOCKER
    done = llem.run("run", two(llem), "-o", llem.folder / "results")
    assert done.returncode == 2 and not (llem.folder / "results").exists()
    assert "no framework on this machine" in done.stderr and "and cannot go to Docker: " in done.stderr


def test_an_engine_without_an_adapter_goes_nowhere(llem):
    """A container is given the adapter of this machine: where there is none, it would have none."""
    toy.install(llem, descriptor=lambda tree: tree.pop("command"))
    path = write(llem.folder / "s.yaml", sweep={"backend": ["sim", "toy"]})
    tree = json.loads(path.read_text())
    del tree["backend"]
    path.write_text(json.dumps(tree))
    done = llem.run("plan", path)
    assert done.returncode == 2 and "a container would have no adapter either" in done.stderr
    assert "2 cells" in done.stdout


def test_that_an_engine_starts_is_remembered_until_something_of_it_changes(llem):
    starts = llem.folder / "starts"
    llem.env["TOY_STARTS"] = str(starts)
    folder = toy.install(llem, program=COUNTED + toy.block("python"))
    path = write(llem.folder / "s.yaml", TOY)

    def plan_again():
        llem.ok("plan", path)
        return len(starts.read_text().splitlines())

    assert plan_again() == 1
    assert plan_again() == 1
    (folder / "toy_adapter.py").write_text(COUNTED + "# changed\n" + toy.block("python"))
    assert plan_again() == 2
    descriptor = (folder / "engine.json").read_text()
    (folder / "engine.json").write_text(descriptor + "\n")
    assert plan_again() == 3


def test_that_it_did_not_start_is_not_remembered(llem):
    folder = toy.install(llem, program=BROKEN)
    path = write(llem.folder / "s.yaml", TOY)
    assert llem.run("plan", path).returncode == 2
    (folder / "toy_adapter.py").write_text(toy.block("python"))
    llem.ok("plan", path)


def test_without_preflight_no_engine_is_started_beforehand(llem):
    toy.install(llem, program=BROKEN)
    path = write(llem.folder / "s.yaml", TOY)
    done = llem.run("run", path, "--skip-preflight", "-o", llem.folder / "results")
    assert done.returncode == 1
    study = the_study(llem.folder / "results")
    assert study.states() == ["failed"] and "no framework on this machine" in json.dumps(study.error())


# --- Bare docker -----------------------------------------------------------------------------------------------------


def test_bare_docker_without_an_image_says_what_to_write(llem):
    done = llem.run("plan", write(llem.folder / "s.yaml", **{"runners.sim": "docker"}))
    assert done.returncode == 2 and "s.yaml:" in done.stderr and "write docker:IMAGE" in done.stderr


def test_bare_docker_on_a_host_without_a_driver_says_what_to_write(llem):
    toy.install(llem, descriptor=lambda tree: tree.update(image=BUILDS))
    done = llem.run("plan", write(llem.folder / "s.yaml", TOY, **{"runners.toy": "docker"}))
    assert done.returncode == 2 and "this machine has none; write docker:IMAGE" in done.stderr


# --- The record --------------------------------------------------------------------------------------------------------


def test_a_record_says_who_chose(llem):
    path = write(llem.folder / "s.yaml", **{"runners.sim": "local"})
    llem.ok("run", path, "-o", llem.folder / "results")
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    context = study.result()["context"]
    assert context["runner"] == "local" and context["runner_source"].startswith(f"{path}:")
    config = json.loads((study.runs[0] / "config.json").read_text())
    assert config["config"]["runners"] == {"sim": {"use": "local"}}


def test_the_python_of_an_image_is_none_of_this_machine(llem, tmp_path):
    """It would be dropped without a word, and another interpreter be measured than the file names."""
    path = write(tmp_path / "s.yaml", {"backend": "pytorch", "runners.pytorch.python": "/opt/python3"})
    done = llem.run("plan", path)
    assert done.returncode == 2, done.stderr
    assert re.search(r"s.yaml:\d+:\d+: error: runners.pytorch.python is the Python of an image, and pytorch runs on this machine",
                     done.stderr), done.stderr
    assert "LLEM_PYTORCH_PYTHON" in done.stderr
    folder = Path(llem.env["XDG_CONFIG_HOME"]) / "llem"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("runners: {sim: {python: /opt/python3}}\n")  # for whatever is run in images
    llem.ok("plan", write(tmp_path / "t.yaml"))
