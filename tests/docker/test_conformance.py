"""Every end of a run, by every runner that starts containers: the conformance test of room runner, with a daemon."""

import re
import subprocess

import podman as podmen
import pytest

import support


@pytest.fixture
def conformance(llem, build_dir, tmp_path):
    def run(runner, image):
        """Runs the tests of one runner; how many there were."""
        done = subprocess.run(
            [build_dir / "tests" / "test_runner_conformance", "-p", f"/runner/{runner}"],
            env=llem.env | {"LLEM_TEST_IMAGE": image, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return len(re.findall(r"^ok ", done.stdout, re.M))

    return run


def endings():
    """How many there are to be: the rows of the test."""
    text = (support.ROOT / "tests" / "unit" / "runner" / "test_conformance.c").read_text()
    return len(re.findall(r'^    \{"', text.split("} endings[] = {")[1].split("\n};")[0], re.M))


def test_every_end_of_a_run_in_docker(docker, conformance):
    assert conformance("docker", docker.image("base")) == endings() + 2
    assert docker.containers() == []


def test_every_end_of_a_run_in_podman(docker, conformance, llem, build_dir):
    podman = podmen.Podman(build_dir / "podman", docker)
    image = podman.image("base")
    llem.env |= podman.env()
    assert conformance("podman", image) == endings() + 2
