"""Parameters that only the engine in an image knows: asked for there, and kept by the image's ID."""

import json
import re

import toy
from studies import check_records, the_study, write

ROW = 'Option("kind", "string", "fast", choices=["fast", "slow"])'


def install(llem):
    old = 'help="time of one token")]'
    program = toy.block("python")
    assert old in program
    return toy.install(llem, program=program.replace(old, f'{old[:-1]}, {ROW}]'),
                       descriptor=lambda tree: tree.update(title="Toy", pass_through={}))


def study(llem, image, **fields):
    return write(llem.folder / "c.yaml", {"backend": "toy", "model": "none", "n": 1, "max_input_tokens": 1000,
                                          "runners.toy": f"docker:{image}", **fields})


def test_the_engine_of_the_image_is_asked(docker, llem):
    """Its parameters are errors until it was asked there; the advice, said once, is the command that asks it."""
    install(llem)
    image = docker.image("python")
    path = study(llem, image, **{"toy.kind": "slow", "toy.other": 1})
    done = llem.run("config", "check", path)
    assert done.returncode == 2 and "unknown field 'toy.kind'" in done.stderr
    (command,) = re.findall(r"`llem (engine schema [^`]*)`", done.stderr)
    assert command == f"engine schema toy runners.toy=docker:{image}"
    said = json.loads(llem.ok(*command.split(), "--json", timeout=120))
    assert said["image"] == docker.image_id(image)
    done = llem.run("config", "check", path)
    assert "unknown field 'toy.kind'" not in done.stderr and "unknown field 'toy.other'" in done.stderr
    assert "the installed Toy 1 has no such parameter" in done.stderr
    here = llem.run("config", "check", path, "runners.toy=local")
    assert "unknown field 'toy.kind'" in here.stderr  # the engine of this machine was not asked
    bad = llem.run("config", "check", study(llem, image, **{"toy.kind": "quick"}))
    assert bad.returncode == 2 and 'toy.kind: expected one of fast, slow, found "quick"' in bad.stderr
    llem.ok("run", study(llem, image, **{"toy.kind": "slow"}), "-o", llem.folder / "results", timeout=120)
    done = the_study(llem.folder / "results")
    check_records(llem, done)
    assert done.result()["engine"]["resolved"]["kind"] == "slow"


def test_another_image_of_the_name_is_another_engine(docker, llem):
    install(llem)
    name = "llem-test/parameters"
    image = docker.image("python", name=name, files={"/opt/which": "1"})
    path = study(llem, image, **{"toy.kind": "slow"})
    llem.ok("engine", "schema", "toy", f"runners.toy=docker:{image}", timeout=120)
    llem.ok("config", "check", path)
    docker.image("python", name=name, files={"/opt/which": "2"})
    assert "unknown field 'toy.kind'" in llem.run("config", "check", path).stderr
    other = llem.run("config", "check", path, "runners.toy.python=/usr/bin/python3")
    assert f"`llem engine schema toy runners.toy=docker:{image} runners.toy.python=/usr/bin/python3`" in other.stderr


def test_a_study_that_looks_into_the_image_makes_them_known(docker, llem):
    install(llem)
    image = docker.image("python")
    llem.ok("run", study(llem, image), "-o", llem.folder / "results", timeout=120)
    llem.ok("config", "check", study(llem, image, **{"toy.kind": "slow"}))


def test_an_image_without_the_engine_says_so(docker, llem):
    install(llem)
    done = llem.run("engine", "schema", "toy", f"runners.toy=docker:{docker.image('base')}", timeout=120)
    assert done.returncode != 0 and "python3" in done.stderr
    done = llem.run("engine", "schema", "toy", "runners.toy=docker:llem-test/nowhere", "runners.toy.pull=never")
    assert done.returncode != 0 and "llem-test/nowhere" in done.stderr
