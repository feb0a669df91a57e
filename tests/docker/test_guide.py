"""docs/docker.md: its commands run, in their order, and every check is explained, what is shown of files is taken."""

import os
import re
import subprocess
import sys

import pytest

import support

sys.path.insert(0, str(support.ROOT / "tests" / "docs"))

from test_commands import commands, script_of  # noqa: E402

PAGE = support.ROOT / "docs" / "docker.md"
IMAGE = "debian:12-slim"  # as the page names it; here it is the smallest image with a C library


@pytest.mark.slow
@pytest.mark.timing
def test_every_command_runs(docker, llem, tmp_path):
    docker.image("base", name=IMAGE)
    llem.use_real_models()
    text = PAGE.read_text().replace(f"$ docker pull {IMAGE}", f"$ docker image inspect {IMAGE}")  # there is no registry
    assert len(list(commands(text))) >= 10
    env = llem.env | {"PATH": f"{llem.program.parent}:{os.environ['PATH']}"}
    (tmp_path / "examples").symlink_to(support.ROOT / "examples")
    done = subprocess.run(["bash", "-c", script_of(text)], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=400)
    docker.run("rmi", "-f", IMAGE)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    after = done.stdout.partition("$ docker ps -a")[2].partition("$ ")[0]
    assert "llem-worker" not in after  # no container outlives its run


def test_every_file_it_shows_is_taken(llem, tmp_path):
    """What stands below `runners:` alone is a part of a study."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(blocks) >= 2
    for text in blocks:
        whole = text if "model:" in text else f"model: smollm2-135m-instruct\nbackend: {text.split()[1].rstrip(':')}\n{text}"
        path = tmp_path / "study.yaml"
        path.write_text(whole.replace('["/data/models:', f'["{tmp_path}:'))  # a folder that is there
        done = llem.run("config", "show", path)  # what the machine has to say is not asked
        assert done.returncode == 0 and "error" not in done.stderr, f"{whole}\n{done.stderr}"


def test_every_check_is_explained(llem):
    """The table of the page is that of the rows; LLEM_UPDATE_GOLDEN=1 writes it anew."""
    begin, end = "Edit those, not this table. -->\n\n", "\n## How a run ends"
    before, _, rest = PAGE.read_text().partition(begin)
    kept, _, after = rest.partition(end)
    assert after
    made = llem.ok("doctor", "--reference")
    if os.environ.get("LLEM_UPDATE_GOLDEN"):
        PAGE.write_text(before + begin + made + end + after)
        kept = made
    assert kept == made, "run this test with LLEM_UPDATE_GOLDEN=1"


def test_every_class_of_error_around_a_container_is_explained():
    rows = (support.ROOT / "src" / "base" / "error.h").read_text()
    around = rows.partition('"WorkerDied"')[2].partition('"Interrupted"')[0]
    classes = re.findall(r'"(\w+)"', around)
    assert len(classes) >= 18
    assert [c for c in classes if f"\n| `{c}` | " not in PAGE.read_text()] == []
