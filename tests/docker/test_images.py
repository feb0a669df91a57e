"""The official images, as far as that goes without a registry: names, recipes, the build script on a stand-in base with the
very recipes, and the workflow: its syntax, rules of ours, and the steps of an image run in their order."""

import json
import os
import re
import shutil
import subprocess

import images
import pytest
import studies
import yaml
from support import ROOT

BUILD = ROOT / "docker" / "build.py"
WORKFLOW = ROOT / ".github" / "workflows" / "images.yml"


def script(*words, env=None, **options):
    return subprocess.run([BUILD, *map(str, words)], capture_output=True, text=True, env={**os.environ, **(env or {})}, **options)


def matrix():
    return json.loads(script("--matrix", check=True).stdout)


def recipe(backend):
    return ROOT / json.loads((ROOT / "engines" / backend / "engine.json").read_text())["image"]["recipe"]


# Names


def test_names_are_what_the_requirement_says():
    rows = matrix()
    version = re.search(r"^project\(llem VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M).group(1)
    assert {r["backend"] for r in rows} == {"vllm", "pytorch"}
    assert all(r["name"] == f"ghcr.io/llenergymeasure/{r['backend']}:{version}-cuda{r['cuda']}" for r in rows)
    assert len({r["name"] for r in rows}) == len(rows)


def test_the_owner_is_one_variable():
    assert script("vllm", "--name", env={"LLEM_IMAGE_OWNER": "me"}).stdout.startswith("ghcr.io/me/vllm:")


def test_the_name_is_written_in_one_place():
    """Whoever needs a name asks docker/build.py or backend_image_name(). Pages may show names, which must be the real ones."""
    listed = subprocess.run(["git", "-C", ROOT, "grep", "-lE", r"ghcr\.io/"], capture_output=True, text=True).stdout.split()
    assert "docker/image.json" in listed
    real = {r["name"] for r in matrix()}
    for path in listed:
        if path == "docker/image.json" or path.startswith("tests/"):
            continue
        shown = {m.group(0) for m in re.finditer(r"ghcr\.io/[^\s\"'`<>()]*", (ROOT / path).read_text())}
        assert shown <= real, f"{path} has {shown - real}, which no build is called"


def test_what_is_refused():
    for words, said in ((["sim"], "no image is published for 'sim'"), (["vllm", "--cuda", "9"], "no image of CUDA 9"), ([], "say which")):
        done = script(*words)
        assert done.returncode == 1 and said in done.stderr, done


def test_a_client_that_is_not_there_is_said(build_dir):
    done = script("vllm", "--programs", build_dir, env={"LLEM_CONTAINER_CLIENT": "/nowhere/docker"})
    assert done.returncode == 1 and done.stderr.startswith("docker/build.py: /nowhere/docker cannot be started: No such file")


def test_another_base_makes_no_official_image():
    """It would bear the name that a bare `docker` stands for."""
    done = script("vllm", "--base", "debian:12-slim", env={"LLEM_IMAGE_OWNER": ""})
    assert done.returncode == 1 and "LLEM_IMAGE_OWNER" in done.stderr


# Recipes


@pytest.mark.parametrize("row", matrix(), ids=lambda r: f"{r['backend']}-{r['cuda']}")
def test_recipe(row):
    text = recipe(row["backend"]).read_text()
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line and not line.startswith("#")]
    words = [line.split()[0] for line in lines]
    assert set(words) <= {"ARG", "FROM", "RUN", "COPY", "ENV", "LABEL", "ENTRYPOINT", "CMD"}
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${UPSTREAM}"]
    # The upstream image has a version, and no tag that moves.
    tag = row["upstream"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+\.\d+", tag) and not re.search(r"latest|nightly|main", tag)
    # Only the staged folder comes in; nothing is fetched but the pinned packages; no secret is an argument.
    assert [line for line in lines if line.startswith("COPY")] == ["COPY llem /opt/llem"]
    runs = [line for line in lines if line.startswith("RUN")]
    assert all(line.endswith("${PACKAGES}") for line in runs) and not re.search(r"curl|wget|apt|https?:", "\n".join(lines))
    packages = ROOT / "docker" / f"{row['backend']}.txt"
    pinned = [p for p in packages.read_text().splitlines() if not p.startswith("#")] if packages.exists() else []
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", p) for p in pinned) and bool(pinned) == bool(runs)
    assert not re.search(r"^ARG \w*(TOKEN|SECRET|PASSWORD|KEY)", text, re.M)
    # Every argument is used and every one used is declared after FROM, where its value is known.
    declared, used = re.findall(r"^ARG (\w+)", text.partition("\nFROM")[2], re.M), set(re.findall(r"\$\{(\w+)\}", text))
    assert set(declared) == used, set(declared) ^ used
    assert 'ENTRYPOINT ["/opt/llem/bin/llem-worker"]' in lines and "CMD []" in lines
    label = next(line for line in lines if line.startswith("LABEL"))
    for key in ("version", "engine", "cuda", "revision", "schema"):
        assert f"org.llenergymeasure.{key}=" in label


def build(docker, build_dir, *words, **env):
    return script(*words, "--programs", build_dir, env={**docker.env(), **env})


@pytest.mark.parametrize("backend", ["vllm", "pytorch"])
def test_a_recipe_builds_and_its_worker_starts(docker, llem, build_dir, backend):
    """The same recipe on a base that says what the upstream image says; the worker in it really starts, by hand and by a study."""
    base = docker.image("cuda13")
    owner = f"test-{os.getpid()}"
    done = build(docker, build_dir, backend, "--cuda", 13, "--check", "--base", base, LLEM_IMAGE_OWNER=owner)
    assert done.returncode == 0, done.stderr
    name = script(backend, "--cuda", 13, "--name", env={"LLEM_IMAGE_OWNER": owner}).stdout.strip()
    try:
        told = docker.json("image", "inspect", name)[0]["Config"]
        assert told["Entrypoint"] == ["/opt/llem/bin/llem-worker"] and not told["Cmd"]
        assert "CUDA_VERSION=13.0.1" in told["Env"]  # of the base, not of the row
        labels = told["Labels"]
        assert labels["org.opencontainers.image.base.name"] == base and labels["org.llenergymeasure.cuda"] == "13"
        assert labels["org.llenergymeasure.schema"].split()[0].startswith("llem-exchange/")
        none = docker.run("run", "--rm", "--network", "none", "--user", "1234:1234", name)
        assert none.returncode == 2 and "LLEM_CONFIG_PATH" in none.stderr
        inside = docker.ok("run", "--rm", "--network", "none", "--entrypoint", "ls", name, "-l", "/opt/llem/engines", "/opt/llem/bin")
        assert backend in inside and "llem-worker" in inside
        study = studies.write(llem.folder / "study.yaml", {"runners.sim.use": f"docker:{name}"})
        llem.ok("run", study, "-o", llem.folder / "results", timeout=120)
        context = studies.the_study(llem.folder / "results").result()["context"]
        assert context["image_id"] == docker.image_id(name) and context["image_labels"]["org.llenergymeasure.engine"] == backend
    finally:
        docker.run("rmi", "-f", name)


def test_a_base_of_another_cuda_is_refused(docker, build_dir):
    done = build(docker, build_dir, "vllm", "--cuda", 13, "--base", docker.image("cuda12"), LLEM_IMAGE_OWNER="test-other")
    assert done.returncode == 1 and "has CUDA 12.4.1, and engine.json says 13.0" in done.stderr


# The workflow


def workflow():
    tree = yaml.safe_load(WORKFLOW.read_text())
    tree["on"] = tree.pop(True, tree.get("on"))  # YAML 1.1 reads the word `on` as true
    return tree


def steps():
    return [(job, step) for job, what in workflow()["jobs"].items() for step in what["steps"]]


def test_workflow_publishes_on_a_release_tag_alone():
    tree = workflow()
    assert tree["on"] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    assert tree["permissions"] == {"contents": "read"}
    assert "permissions" not in tree["jobs"]["test"] and tree["jobs"]["image"]["needs"] == "test"
    assert tree["jobs"]["image"]["permissions"] == {"contents": "read", "packages": "write", "id-token": "write"}
    assert all(job["timeout-minutes"] <= 180 and job["runs-on"] == "ubuntu-24.04" for job in tree["jobs"].values())


def test_workflow_pins_what_it_uses_and_leaves_no_credentials():
    text = WORKFLOW.read_text()
    uses = [step["uses"] for _, step in steps() if "uses" in step]
    assert uses and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", u) for u in uses)
    assert all(re.search(rf"{re.escape(u)} # v\d", text) for u in uses)  # the version is said beside it
    assert all(s["with"]["persist-credentials"] is False for _, s in steps() if "checkout" in s.get("uses", ""))


def test_workflow_scripts_are_scripts():
    """No expression inside of a script, where its value would be taken for code; bash reads each; names come from build.py."""
    for _, step in steps():
        if "run" in step:
            assert "${{" not in step["run"], step
            assert subprocess.run(["bash", "-n"], input=step["run"], text=True).returncode == 0
    text = WORKFLOW.read_text()
    assert not re.search(r"ghcr\.io|-cuda\d|vllm|pytorch", text)
    known = r"(github\.(ref|actor|repository)|secrets\.GITHUB_TOKEN|(steps|needs|matrix)\.[\w.]+|fromJSON\([\w.]+\))"
    for token in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", text):
        assert re.fullmatch(known, token), token
    outputs = set(re.findall(r"(?:steps|needs)\.(\w+)\.outputs\.(\w+)", text))
    assert outputs == {("push", "digest"), ("matrix", "matrix"), ("test", "matrix")}


STAND_INS = {
    # What would leave this machine, or change it, is written down instead.
    "docker": 'case "$1" in\nlogin) echo "docker $* <$(cat)" >>"$SAID" ;;\npush) echo "docker $*" >>"$SAID" ;;\n'
    'image) [ "$3" = --format ] && { echo "${5%:*}@sha256:$(printf %064d 7)"; exit; }; exec "$DOCKER" "$@" ;;\n'
    '*) exec "$DOCKER" "$@" ;;\nesac',
    "cosign": 'echo "cosign $*" >>"$SAID"',
    "syft": 'echo "syft $*" >>"$SAID"; echo {} >sbom.spdx.json',
    "sudo": 'echo "sudo $*" >>"$SAID"',
    "make": 'echo "make $*" >>"$SAID"',
}


def fill(text, values):
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda m: values[m.group(1)], str(text))


def test_the_steps_of_an_image_run_in_their_order(own_docker, build_dir, tmp_path):
    """Every script of the job, on a daemon that has a stand-in under the upstream image's own name. Pushing, signing and
    listing the contents are stand-ins that write down what they were asked."""
    row = next(r for r in matrix() if r["backend"] == "vllm")
    own_docker.image("base", env=images.cuda("13.0.3"), name=row["upstream"])
    tools, said, out = tmp_path / "tools", tmp_path / "said", tmp_path / "output"
    tools.mkdir()
    for name, body in STAND_INS.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    checkout = tmp_path / "checkout"
    for path in ("docker", "engines", "CMakeLists.txt", "LICENSE", "src/exchange/exchange.h", "src/result/result.h"):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / path, checkout / path) if (ROOT / path).is_dir() else shutil.copy(ROOT / path, checkout / path)
    (checkout / "build").mkdir()
    (checkout / "build" / "release").symlink_to(build_dir)
    job = workflow()["jobs"]["image"]
    values = {f"matrix.image.{k}": str(v) for k, v in row.items()}
    values |= {"secrets.GITHUB_TOKEN": "a secret", "github.actor": "somebody", "github.repository": "llenergymeasure/llem"}
    env = {**os.environ, **own_docker.env(), "PATH": f"{tools}:{os.environ['PATH']}", "DOCKER": shutil.which("docker"), "SAID": str(said)}
    env |= {k: fill(v, values) for k, v in job["env"].items()} | {"GITHUB_OUTPUT": str(out)}
    for step in job["steps"]:
        if "run" not in step:
            continue
        out.write_text("")
        more = {k: fill(v, values) for k, v in step.get("env", {}).items()}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=checkout, env=env | more, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (step, done.stdout, done.stderr)
        if "id" in step:
            values |= {f"steps.{step['id']}.outputs.{k}": v for k, v in (line.split("=", 1) for line in out.read_text().splitlines())}
    digest = f"{row['name'].rpartition(':')[0]}@sha256:{7:064d}"
    lines = said.read_text().splitlines()
    assert "docker login ghcr.io --username somebody --password-stdin <a secret" in lines
    order = [f"docker push --quiet {row['name']}", f"cosign sign --yes {digest}",
             f"syft scan docker:{row['name']} --output spdx-json=sbom.spdx.json",
             f"cosign attest --yes --type spdxjson --predicate sbom.spdx.json {digest}"]  # fmt: skip
    assert [line for line in lines if line in order] == order
    assert sum(line.startswith("cosign verify") and line.endswith(digest) for line in lines) == 2
    labels = own_docker.json("image", "inspect", row["name"])[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == row["upstream"]
