"""tools/test.sh and tools/build.sh, with the programs they call replaced by scripts that note how they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CTEST = """\
#!/bin/sh
mkdir -p build/release/Testing/Temporary
case "$2" in build/release) printf '3:unit.first\\n17:unit.second\\n' > build/release/Testing/Temporary/LastTestsFailed.log; exit 8;; esac
"""
PYTHON = """\
#!/bin/sh
case "$*" in
    *"-m timing"*) echo 'FAILED tests/cli/test_z.py::test_t - late'; exit 1;;
    *"-m engines"*) echo 'FAILED tests/cli/test_e.py::test_m - unequal'; exit 1;;
    *"-m docker"*) echo 'FAILED tests/docker/test_c.py::test_d - left'; exit 1;;
    *pytest*) echo 'FAILED tests/cli/test_x.py::test_y - assert 1 == 2'; exit 1;;
esac
"""
CMAKE = '#!/bin/sh\necho "$@" >> calls\n'


@pytest.fixture
def checkout(tmp_path):
    """A folder with the scripts under test and stand-ins; checkout(NAME, …) runs one of them."""

    def put(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)

    for name in ("test.sh", "build.sh"):
        (tmp_path / "tools").mkdir(exist_ok=True)
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools" / name)
    put("tools/setup.sh", "#!/bin/sh\n")
    put("bin/ctest", CTEST)
    put("bin/cmake", CMAKE)
    put("build/venv/bin/python", PYTHON)
    put("build/release/bin/llem", "#!/bin/sh\n")

    def run(name, *arguments, **env):
        keep = {k: v for k, v in os.environ.items() if not k.startswith("LLEM_")}
        keep["PATH"] = f"{tmp_path}/bin:{keep['PATH']}"
        return subprocess.run([tmp_path / "tools" / name, *arguments], env=keep | env, capture_output=True, text=True)

    run.folder = tmp_path
    return run


def test_failed_tests_are_named_at_the_end(checkout):
    done = checkout("test.sh")
    assert done.returncode == 1
    assert done.stdout.split("== failed tests\n")[1].splitlines() == [
        "release: unit.first", "release: unit.second", "pytest: tests/cli/test_x.py::test_y",
        "pytest: tests/cli/test_z.py::test_t", "pytest: tests/cli/test_e.py::test_m", "pytest: tests/docker/test_c.py::test_d",
    ]


@pytest.mark.parametrize("env, flag", [({}, "OFF"), ({"LLEM_TEST_STRICT": "1"}, "1"), ({"LLEM_WERROR": "ON"}, "ON")])
def test_one_build_folder_one_set_of_flags(checkout, env, flag):
    """A build for the demo and one for the tests configure alike: nothing is compiled twice."""
    checkout("build.sh", "release", "--target", "programs", **env)
    checkout("test.sh", **env)
    calls = [c for c in (checkout.folder / "calls").read_text().splitlines() if "--preset release -D" in c]
    assert len(calls) == 2
    assert calls[0] == calls[1]
    assert f"-DLLEM_WERROR={flag} " in calls[0] + " "
