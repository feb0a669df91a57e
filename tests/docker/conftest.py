"""Fixtures of the tests that start containers; what they are and which images there are says daemon.py."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import daemon as daemons  # noqa: E402
import registry as registries  # noqa: E402

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # that of a nohup is not ours to hand down

STRICT = os.environ.get("LLEM_TEST_STRICT", "") not in ("", "0")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.docker)


def need_docker():
    reason = daemons.why_not()
    if reason:
        pytest.skip(f"needs:docker {reason}")


@pytest.fixture(scope="session")
def shared_docker(build_dir):
    """The daemon of this build folder, up for as long as anybody's tests use it."""
    need_docker()
    daemon = daemons.Daemon(build_dir / "docker").start()
    yield daemon
    daemon.close()


def client(daemon, llem, below):
    """The daemon as one test sees it; afterwards none of the test's containers may be left."""
    llem.env = {k: v for k, v in llem.env.items() if not k.startswith(("DOCKER_", "CONTAINER_"))} | daemon.env()
    daemon.below = below
    return daemon


def check_containers(daemon):
    left = daemon.containers()
    told = [daemon.run("inspect", "-f", "{{.Name}} {{.State.Status}} {{.Path}} {{.Args}}", i).stdout.strip() for i in left]
    if left:
        daemon.run("rm", "-f", *left)
    assert not left, f"containers left after the test: {told}"


@pytest.fixture
def docker(shared_docker, llem, tmp_path):
    """The shared daemon for one test."""
    daemon = client(daemons.Daemon(shared_docker.folder), llem, tmp_path)
    yield daemon
    check_containers(daemon)


@pytest.fixture
def own_docker(llem, tmp_path, build_dir):
    """A daemon of the test's own, which it may kill and start again."""
    need_docker()
    daemon = client(daemons.Daemon(tmp_path / "dockerd"), llem, tmp_path).start()
    yield daemon
    try:
        daemon.start()
        check_containers(daemon)
    finally:
        daemon.close()
        daemon.wait_end()
        shutil.rmtree(daemon.folder, ignore_errors=True)  # images and all: pytest keeps the folders of several sessions


@pytest.fixture
def registry():
    """A registry on this machine, see registry.py."""
    with registries.Registry() as served:
        yield served
