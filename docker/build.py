#!/usr/bin/env python3
"""Builds the official images: an upstream image of an engine, with /opt/llem added.

    docker/build.py vllm                  # every image of engines/vllm/engine.json
    docker/build.py pytorch --cuda 12     # that of CUDA 12
    docker/build.py vllm --name           # only says what it is called
    docker/build.py --matrix              # all of them as JSON, for the workflow
    docker/build.py vllm --check          # builds, then looks at it and starts its worker

llem must have been built first (make build). Another owner than docker/image.json names: LLEM_IMAGE_OWNER. Another
client than docker: LLEM_CONTAINER_CLIENT=podman. To try a recipe where the upstream image is not: --base IMAGE, and
LLEM_IMAGE_OWNER, since what comes of it is no official image.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SOURCE = os.environ.get("GITHUB_REPOSITORY") or "llenergymeasure/llem"
CLIENT = os.environ.get("LLEM_CONTAINER_CLIENT") or "docker"


class Refused(Exception):
    """What is said to the user in a line."""


def naming():
    """The template of names, with the owner filled in."""
    tree = json.loads((HERE / "image.json").read_text())
    return tree["name"].replace("{owner}", os.environ.get("LLEM_IMAGE_OWNER") or tree["owner"])


def version():
    return re.search(r"^project\(llem VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M).group(1)


def schema():
    """The formats that the worker reads and writes."""
    found = [re.search(rf'define {name}\s+"([^"]+)"', (ROOT / path).read_text()).group(1)
             for name, path in (("EXCHANGE_SCHEMA", "src/exchange/exchange.h"), ("RESULT_SCHEMA", "src/result/result.h"))]
    return " ".join(found)  # fmt: skip


def revision():
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    dirty = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "-uno"], capture_output=True, text=True)
    return done.stdout.strip() + ("-dirty" if dirty.stdout.strip() else "") if done.returncode == 0 else "unknown"


def descriptor(backend):
    path = ROOT / "engines" / backend / "engine.json"
    image = json.loads(path.read_text()).get("image") if path.exists() else None
    if not image:
        raise Refused(f"no image is published for '{backend}'; there are some for {', '.join(backends())}")
    return image


def backends():
    files = sorted((ROOT / "engines").glob("*/engine.json"))
    return [p.parent.name for p in files if "image" in json.loads(p.read_text())]


def major(text):
    return int(text.split(".")[0])


def name_of(backend, cuda):
    return naming().replace("{backend}", backend).replace("{version}", version()).replace("{major}", str(major(cuda)))


def builds(backend, wanted=None):
    """The rows of an engine, of one CUDA or all."""
    found = [b for b in descriptor(backend)["builds"] if wanted is None or major(b["cuda"]) == wanted]
    if not found:
        raise Refused(f"engines/{backend}/engine.json has no image of CUDA {wanted}")
    return found


def packages(backend):
    path = HERE / f"{backend}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def run(*arguments, **options):
    try:
        return subprocess.run([CLIENT, *arguments], text=True, **options)
    except OSError as error:
        raise Refused(f"{CLIENT} cannot be started: {error.strerror}; another client: LLEM_CONTAINER_CLIENT") from None


def client(*arguments, capture=False):
    env = {"DOCKER_BUILDKIT": "0", **os.environ} if no_buildx() else None
    done = run(*arguments, env=env, stdout=subprocess.PIPE if capture else None)
    if done.returncode:
        raise Refused(f"{CLIENT} {arguments[0]} failed (exit {done.returncode})")
    return done.stdout


def no_buildx():
    """Whether only docker's first builder is there; the recipes need no other."""
    done = run("buildx", "version", capture_output=True)
    return Path(CLIENT).name == "docker" and done.returncode != 0


def inspect(image, pull=True):
    done = run("image", "inspect", image, capture_output=True)
    if done.returncode == 0:
        return json.loads(done.stdout)[0]
    if not pull:
        raise Refused(f"there is no image {image}: {done.stderr.strip()}")
    client("pull", image)
    return inspect(image, pull=False)


def environment(image):
    return dict(entry.partition("=")[::2] for entry in image["Config"].get("Env") or [])


def cuda_of(base, row, image):
    """The CUDA of the image itself; the row of engine.json must agree in its major number, which is in the name."""
    said = environment(base).get("CUDA_VERSION")
    if said and major(said) != major(row["cuda"]):
        raise Refused(f"{image} has CUDA {said}, and engine.json says {row['cuda']}")
    return said or row["cuda"]


def digest_of(base):
    return next((entry.rpartition("@")[2] for entry in base.get("RepoDigests") or []), "")


def stage(backend, programs, folder):
    """What goes to /opt/llem: the worker and the engine's folder, as llem mounts them."""
    worker, engine = programs / "bin" / "llem-worker", programs / "libexec" / "llem" / "engines" / backend
    if not worker.exists() or not engine.exists():
        raise Refused(f"no llem-worker or no engine {backend} in {programs}: run `make build` first, or give --programs")
    (folder / "llem" / "bin").mkdir(parents=True)
    shutil.copy(worker, folder / "llem" / "bin")
    shutil.copytree(engine, folder / "llem" / "engines" / backend, symlinks=True)
    shutil.copy(ROOT / "LICENSE", folder / "llem")


def build(backend, row, options):
    name, image = name_of(backend, row["cuda"]), options.base or row["upstream"]
    base = inspect(image)
    arguments = {
        "UPSTREAM": image, "UPSTREAM_DIGEST": digest_of(base), "NAME": name, "ENGINE": backend, "VERSION": version(),
        "CUDA": cuda_of(base, row, image), "MAJOR": str(major(row["cuda"])), "REVISION": revision(), "SCHEMA": schema(),
        "SOURCE": f"https://github.com/{SOURCE}", "PACKAGES": "" if options.base else " ".join(packages(backend)),
    }  # fmt: skip
    recipe = ROOT / descriptor(backend)["recipe"]
    wanted = set(re.findall(r"^ARG (\w+)", recipe.read_text(), re.M))
    with tempfile.TemporaryDirectory(prefix="llem-image-") as folder:
        stage(backend, Path(options.programs), Path(folder))
        more = [word for key in sorted(wanted) for word in ("--build-arg", f"{key}={arguments[key]}")]
        more += ["--network", options.network] if options.network else []
        client("build", "--tag", name, "--file", str(recipe), *more, folder)
    return name


def check(backend, row, name):
    """Looks at an image that was built, and starts its worker."""
    image = inspect(name, pull=False)
    labels, variables = image["Config"].get("Labels") or {}, environment(image)
    wanted = {"version": version(), "engine": backend, "cuda": str(major(row["cuda"])), "schema": schema()}
    for key, value in wanted.items():
        if labels.get(f"org.llenergymeasure.{key}") != value:
            raise Refused(f"{name}: label {key} is '{labels.get(f'org.llenergymeasure.{key}')}', not '{value}'")
    if major(variables.get("CUDA_VERSION", "0")) != major(row["cuda"]):
        raise Refused(f"{name}: CUDA_VERSION is {variables.get('CUDA_VERSION')}, and engine.json says {row['cuda']}")
    said = client("run", "--rm", "--pull", "never", "--network", "none", name, "--version", capture=True)
    if not said.startswith(f"llem-worker {version()} "):
        raise Refused(f"{name}: its worker says '{said.strip()}', not version {version()}")
    print(f"{name}: {said.strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backend", nargs="?")
    parser.add_argument("--cuda", type=int, metavar="MAJOR")
    parser.add_argument("--base", metavar="IMAGE")
    parser.add_argument("--network", metavar="NAME", help="network of the build (none: without packages only)")
    parser.add_argument("--programs", metavar="FOLDER", default=str(ROOT / "build" / "release"), help="where llem was built")
    parser.add_argument("--name", action="store_true")
    parser.add_argument("--matrix", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.matrix:
        rows = [{"backend": b, "cuda": major(row["cuda"]), "upstream": row["upstream"], "name": name_of(b, row["cuda"])}
                for b in backends() for row in builds(b)]  # fmt: skip
        return print(json.dumps(rows))
    if not options.backend:
        raise Refused(f"say which: {', '.join(backends())}")
    if options.base and not os.environ.get("LLEM_IMAGE_OWNER"):
        raise Refused("on another base it is no official image, and must not be called like one: name its owner in LLEM_IMAGE_OWNER")
    for row in builds(options.backend, options.cuda):
        if options.name:
            print(name_of(options.backend, row["cuda"]))
            continue
        name = build(options.backend, row, options)
        if options.check:
            check(options.backend, row, name)


if __name__ == "__main__":
    try:
        main()
    except Refused as error:
        sys.exit(f"docker/build.py: {error}")
