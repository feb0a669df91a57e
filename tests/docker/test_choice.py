"""Who runs the runs of an engine, with a daemon there: a container as written, an engine that does not start here, the
published image that bare `docker` stands for, a study of both."""

import json

import pytest

import toy
from studies import check_records, the_study, write

TOY = {"backend": "toy", "model": "none", "n": 1, "max_input_tokens": 1000}
ELSEWHERE = "import os, sys\nif not os.path.isdir('/opt/llem'):\n    sys.exit('ModuleNotFoundError: no framework on this machine')\n"
BUILDS = {"recipe": "toy", "builds": [{"upstream": "example.org/toy:1", "cuda": "12.8.1"},
                                      {"upstream": "example.org/toy:2", "cuda": "13.0.0"}]}


def run(llem, path, *words, code=0):
    done = llem.run("run", path, "-o", llem.folder / "results", *words, timeout=180)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def several(llem, **more):
    """A study of sim and toy."""
    path = write(llem.folder / "s.yaml", {"model": "none", "max_input_tokens": 1000} | more, sweep={"backend": ["sim", "toy"]},
                 execution={"n_cycles": 1})
    tree = json.loads(path.read_text())
    del tree["backend"]
    path.write_text(json.dumps(tree))
    return path


@pytest.fixture
def driver(llem, build_dir, tmp_path):
    """A machine with a driver of that CUDA, for llem itself."""
    def of(cuda):
        script = tmp_path / "driver.json"
        script.write_text(json.dumps({"cuda_version": cuda, "devices": [{}]}))
        llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}
    return of


def test_a_study_runs_in_a_container_as_it_does_here(docker, llem):
    image = docker.image("base")
    path = write(llem.folder / "s.yaml", **{"runners.sim": f"docker:{image}"})
    run(llem, path)
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    context = study.result()["context"]
    assert context["runner"] == "docker" and context["image"] == image and context["image_id"] == docker.image_id(image)
    assert context["runner_source"].startswith(f"{path}:")


def test_the_environment_chooses_before_the_study(docker, llem):
    image = docker.image("base")
    llem.env["LLEM_RUNNER_SIM"] = f"docker:{image}"
    run(llem, write(llem.folder / "s.yaml", **{"runners.sim": "local"}))
    context = the_study(llem.folder / "results").result()["context"]
    assert (context["runner"], context["runner_source"]) == ("docker", "environment LLEM_RUNNER_SIM")


def test_settings_reach_the_container(docker, llem):
    image = docker.image("python")
    toy.install(llem, program=("import os, json\n"
                               "print(json.dumps({'shm': os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize,"
                               " 'env': os.environ.get('A_SETTING'), 'mount': os.path.exists('/data/s.yaml')}), flush=True)\n")
                + toy.block("python"))
    path = write(llem.folder / "s.yaml", TOY, **{"runners.toy": {
        "use": f"docker:{image}", "shm_size": "64m", "environment": ["A_SETTING=yes"], "network": "none",
        "mounts": [f"{llem.folder}:/data"], "memory": "512m", "cpus": 1, "ulimits": ["nofile=1024:2048"]}})
    run(llem, path)
    log = (the_study(llem.folder / "results").runs[0] / "engine.log").read_text()
    assert json.loads(log.splitlines()[0]) == {"shm": 64 << 20, "env": "yes", "mount": True}


def test_one_of_several_that_does_not_start_here_goes_to_docker(docker, llem, driver):
    """With a word how to choose otherwise; the other stays here; each record says who ran it and why."""
    driver(13000)
    docker.image("python", name="ghcr.io/llenergymeasure/toy:1.19.0-cuda13")
    toy.install(llem, program=ELSEWHERE + toy.block("python"), descriptor=lambda tree: tree.update(image=BUILDS))
    done = run(llem, several(llem))
    assert "toy goes to Docker (ghcr.io/llenergymeasure/toy:1.19.0-cuda13)" in done.stderr
    assert "runners: {toy: docker:IMAGE}" in done.stderr
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    contexts = {study.result(i)["engine"]["backend"] if "backend" in study.result(i)["engine"] else
                study.result(i)["config"]["backend"]: study.result(i)["context"] for i in range(2)}
    assert (contexts["sim"]["runner"], contexts["sim"]["runner_source"]) == ("local", "default")
    assert contexts["toy"]["runner"] == "docker"
    assert contexts["toy"]["runner_source"].startswith("elevated: toy cannot start on this machine: ")


def test_a_single_engine_never_goes_to_docker_of_itself(docker, llem, driver):
    driver(13000)
    docker.image("python", name="ghcr.io/llenergymeasure/toy:1.19.0-cuda13")
    toy.install(llem, program=ELSEWHERE + toy.block("python"), descriptor=lambda tree: tree.update(image=BUILDS))
    done = run(llem, write(llem.folder / "s.yaml", TOY), code=2)
    assert "toy cannot start on this machine" in done.stderr and "runners: {toy: docker:IMAGE}" in done.stderr


def test_one_that_goes_to_docker_needs_an_image(docker, llem):
    toy.install(llem, program=ELSEWHERE + toy.block("python"))
    done = run(llem, several(llem), code=2)
    assert "cannot go to Docker: no image is published for toy; write docker:IMAGE" in done.stderr


@pytest.mark.parametrize("cuda, major", [(13010, 13), (12080, 12)])
def test_bare_docker_is_the_published_image_that_the_driver_runs(docker, llem, driver, cuda, major):
    driver(cuda)
    name = f"ghcr.io/llenergymeasure/toy:1.19.0-cuda{major}"
    docker.image("python", name=name)
    toy.install(llem, descriptor=lambda tree: tree.update(image=BUILDS))
    run(llem, write(llem.folder / "s.yaml", TOY, **{"runners.toy": "docker"}))
    assert the_study(llem.folder / "results").result()["context"]["image"] == name


def test_a_published_image_that_is_absent_says_how_it_is_built(docker, llem, driver):
    driver(12080)
    toy.install(llem, name="unbuilt", descriptor=lambda tree: tree.update(image=BUILDS))
    path = write(llem.folder / "s.yaml", TOY | {"backend": "unbuilt"}, **{"runners.unbuilt": {"use": "docker", "pull": "never"}})
    for words in [], ["--skip-preflight"]:
        done = llem.run("run", path, "-o", llem.folder / "results", *words, timeout=180)
        assert done.returncode != 0
        assert "docker/build.py unbuilt --cuda 12" in done.stderr and "docker:example.org/toy:1" in done.stderr, done.stderr


def test_the_python_of_the_image_can_be_named(docker, llem):
    """Of an engine whose command has an interpreter in it: that of this machine is not looked for."""
    def python(tree):
        tree["python"] = {"least": "99.0", "variable": "TOY_PYTHON"}
        tree["command"] = ["{python}", "{dir}/toy_adapter.py"]

    image = docker.image("python")
    toy.install(llem, descriptor=python)
    llem.env["TOY_PYTHON"] = "/nonexistent/python3"
    path = write(llem.folder / "s.yaml", TOY, **{"runners.toy": {"use": f"docker:{image}"}})
    run(llem, path)
    path = write(llem.folder / "s.yaml", TOY, **{"runners.toy": {"use": f"docker:{image}", "python": "/nowhere/python3"}})
    done = llem.run("run", path, "-o", llem.folder / "others", timeout=180)
    assert done.returncode != 0 and "/nowhere/python3" in done.stdout + done.stderr
