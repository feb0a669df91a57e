"""The checks of the house can fail: each is shown a small tree that breaks its rule, and one that does not."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import check_functions
import check_circles
import check_engine
import check_layers
import check_names
import check_skips
import check_style
import check_worker
import pytest

ROOT = Path(__file__).resolve().parents[2]

ARCHITECTURE = """# Architecture
## Rooms

| room | what it holds | may include |
|---|---|---|
| `base` | errors | – |
| `config` | tables | base |
| `meter` | sensors | base |
| `top` | the rest | all above but config |
"""


@pytest.fixture
def tree(tmp_path):
    """A checkout of three rooms that breaks nothing; tree(path, text) writes one more file."""

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        return tmp_path

    write("docs/architecture.md", ARCHITECTURE)
    write("src/CMakeLists.txt", "add_subdirectory(base)\nadd_subdirectory(config)\nadd_subdirectory(top)\n")
    write("src/base/CMakeLists.txt", "llem_room(base SOURCES b.c)\n")
    write("src/config/CMakeLists.txt", "llem_room(config SOURCES c.c DEPS base LIBS x)\n")
    write("src/top/CMakeLists.txt", "llem_room(top SOURCES t.c\n    DEPS base meter)\n")
    write("src/config/c.c", '#include "config/config.h"\n#include "base/num.h"\n')
    return write


def compiled(folder, library, files):
    """A build folder with one library of C files, {name: text}."""
    objects = folder / library / "CMakeFiles" / "room.dir"
    objects.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
        subprocess.run(["cc", "-c", folder / name, "-o", objects / f"{name}.o"], check=True)
    return folder


A_LADDER = {"a.c": "int a(void) { return 1; }", "b.c": "int a(void); int b(void) { return a(); }",
            "c.c": "int a(void), b(void); static int d(void) { return a(); } int c(void) { return b() + d(); }"}


def test_circles_accept_a_ladder(tmp_path):
    assert list(check_circles.check(compiled(tmp_path, "src/room", A_LADDER))) == []


def test_circles_find_one(tmp_path):
    files = {**A_LADDER, "a.c": "int c(void); int a(void) { return c(); }"}
    (error,) = check_circles.check(compiled(tmp_path, "src/room", files))
    assert error.startswith("src/room: a.c and b.c and c.c are a circle: a.c calls c.c, b.c calls a.c")
    (data,) = check_circles.check(compiled(tmp_path / "2", "engines/x", {
        "a.c": "extern int y; int *x = &y;", "b.c": "extern int *x; int y; int **z = &x;"}))
    assert data.startswith("engines/x: a.c and b.c are a circle")
    assert list(check_circles.check(compiled(tmp_path / "3", "tests/unit", files))) == []


@pytest.fixture
def named_tree(tree):
    """The same with two engines and three sensor sources."""
    for name in ("toy", "big"):
        tree(f"engines/{name}/engine.json", f'{{"name": "{name}"}}\n')
    rows = ('X(volt, FLAG, "volts")', 'X(amp, FLAG, "amperes")', 'X(replay, FLAG, "a trace")')
    tree("src/base/sources.h", "#define ROWS(X) \\\n    " + " \\\n    ".join(rows) + "\n")
    return tree


NAMES_CLEAN = """#include "toy/toy.h"
#define DEFAULT_BACKEND "toy"
/* "toy" and "toy.threads" and "volt:a" in a comment */ // "big"
static const char *words[] = {"toys", "a toy", "toy threads", "volts of a board", "voltage", "replay of it", "big\\n", 'x'};
static char quote = '"'; static const char *after = "\\"";
"""


def test_names_accept_a_clean_tree(named_tree):
    named_tree("src/meter/volt.c", 'static const char *name = "volt", *channel = "volt:%s";\n')
    named_tree("src/meter/volt_api.c", 'static const char *name = "volt";\n')
    assert check_names.check(named_tree("src/config/c.c", NAMES_CLEAN)) == []


@pytest.mark.parametrize(
    "path, text, complaint",
    [
        ("src/top/t.c", 'if (!strcmp(backend, "toy"))\n', 'src/top/t.c:1: "toy" speaks of an engine'),
        ("src/top/t.c", '\n/* " */ get("big.threads")\n', 'src/top/t.c:2: "big.threads" speaks of an engine'),
        ("src/top/t.h", '{"is", "!\\\\"toy\\\\""},\n', "speaks of an engine"),
        ("src/base/b.c", 'a = "toy.%s";\n', "speaks of an engine"),
        ("src/top/t.c", 'starts_with(id, "volt:board")\n', "speaks of a sensor source, volt"),
        ("src/top/t.h", "char *volt_library; /* of it */\n", "src/top/t.h:1: code speaks of a sensor source, volt"),
        ("src/top/t.c", '/* volt\n */\nsay("write VOLT or auto");\n', "src/top/t.c:3: code speaks of a sensor source, volt"),
        ("src/top/t.c", 'is(source, "replay:x")\n', '"replay:x" speaks of a sensor source'),
        ("src/top/t.c", 'is(source, "amp")\n', "speaks of a sensor source, amp"),
        ("src/meter/volt.c", 'is(source, "amp")\n', "speaks of a sensor source, amp"),
        ("src/top/t.c", '#define DEFAULT_BACKEND "big"\n', "DEFAULT_BACKEND is set more than once"),
    ],
)
def test_names_find(named_tree, path, text, complaint):
    named_tree("src/config/c.c", NAMES_CLEAN)
    assert any(complaint in error for error in check_names.check(named_tree(path, text.replace("\\\\", "\\"))))


def test_names_of_this_checkout():
    assert check_names.engine_names(ROOT) and check_names.source_names(ROOT)
    assert check_names.check(ROOT) == []


def test_layers_accept_a_clean_tree(tree):
    assert check_layers.check(tree("src/top/t.c", '#include "meter/meter.h"\n#include "version.h"\n')) == []


@pytest.mark.parametrize(
    "path, text, complaint",
    [
        ("src/base/b.c", '#include "config/config.h"\n', "goes up"),
        ("src/meter/m.c", '#include "config/config.h"\n', "goes sideways"),
        ("src/top/t.c", '#include "config/config.h"\n', "goes sideways"),
        ("src/top/t.c", '#include "meter/ring.h"\n', "a private header of meter"),
        ("src/top/t.c", '  #  include "meter/ring.h"\n', "a private header of meter"),
        ("src/top/t.c", '#include "nowhere/x.h"\n', "no room nowhere"),
        ("src/top/t.c", '#include "x.h"\n', "no such header in its own folder"),
        ("src/attic/a.c", "int a;\n", "is not a room"),
        ("engines/sim/e.c", '#include "config/config.h"\n', "goes sideways"),
        ("src/top/CMakeLists.txt", "llem_room(top SOURCES t.c DEPS config)\n", "depends on config"),
        ("src/CMakeLists.txt", "add_subdirectory(config)\nadd_subdirectory(base)\n", "the order is not"),
        ("tests/accuracy/nature.c", '#include "energy/energy.h"\n', "the judge may include only"),
        ("tests/accuracy/nature.c", "int64_t d = ENERGY_DELAY_HI_NS;\n", "names ENERGY_DELAY_HI_NS"),
        ("docs/architecture.md", ARCHITECTURE.replace("| tables | base |", "| tables | meter |"), "not stand above"),
    ],
)
def test_layers_refuse(tree, path, text, complaint):
    errors = check_layers.check(tree(path, text))
    assert any(complaint in error for error in errors), errors


def test_the_judge_may_not_name_a_constant_of_the_estimators(tree):
    tree("src/energy/e.c", "#define LIMIT_HIGHEST_W 1400\nenum slot {\n    SLOT_FIRST,\n    SLOT_LAST\n};\n")
    for name in ("LIMIT_HIGHEST_W", "SLOT_FIRST", "SLOT_LAST"):
        errors = list(check_layers.nature_errors(tree("tests/accuracy/nature.c", f"int a = {name};\n")))
        assert any(f"names {name}, which is the estimators'" in error for error in errors), errors
    assert not list(check_layers.nature_errors(tree("tests/accuracy/nature.c", "#define LIMIT_W 2000\n")))


def test_layers_read_the_real_table():
    rooms = check_layers.read_table((ROOT / "docs/architecture.md").read_text())
    assert list(rooms)[0] == "base" and list(rooms)[-1] == "cli"
    assert "experiment" not in rooms["cli"] and "base" in rooms["cli"]


HEAD = "/* SPDX-License-Identifier: MIT */\n"


@pytest.mark.parametrize(
    "path, text, complaint",
    [
        ("src/x/a.c", HEAD + "void f(char *s) { strcpy(s, t); }\n", "banned function"),
        ("src/x/a.c", HEAD + "int f(void) { return system(c); }\n", "banned function"),
        ("src/x/a.c", HEAD + "int f(void) { return fork(); }\n", "spawner"),
        ("engines/x/a.c", HEAD + "int f(void) { return g_spawn_sync(NULL); }\n", "spawner"),
        ("src/x/a.c", HEAD + "long f(void) { return strtol(s, NULL, 10); }\n", "number parsing"),
        ("src/x/a.c", HEAD + "static gchar *name;\n", "GLib type"),
        ("src/x/a.c", HEAD + "#include <gio/gio.h>\n", "GObject or gio"),
        ("src/x/a.c", HEAD + '#include "../base/num.h"\n', "umbrella include"),
        ("src/x/a.c", HEAD + "/* Whether it is there. */\n", "indirect comment"),
        ("src/x/a.c", HEAD + "G_DEFINE_AUTOPTR_CLEANUP_FUNC(x_handle, x_free)\n", "name for g_autoptr"),
        ("src/x/a.c", HEAD + "\tint a;\n", "tab"),
        ("src/x/a.c", HEAD + "int a; \n", "trailing blank"),
        ("src/x/a.c", HEAD + 'char *name = "study.json";\n', "file of a study's folder"),
        ("src/x/a.c", HEAD + "int " + "a" * 116 + ";\n", "long line"),
        ("src/x/a.c", HEAD + "/* " + "a" * 116 + " */\n", "long line"),
        ("src/x/a.c", HEAD + 'f("' + "a" * 130 + '");\n', "long line"),
        ("src/x/a.c", HEAD + "/* TO" + "DO later */\n", "unfinished"),
        ("src/x/a.c", HEAD + "int a;\n" * 701, "is it one thing"),
        ("src/x/a.c", "int a;\n", "SPDX"),
        ("src/x/a.c", HEAD + "int a;", "no newline"),
        ("src/x/a.h", HEAD + "int a;\n", "#pragma once"),
        ("docs/a.md", "see /wo" + "rk/main\n", "machine path"),
        ("tools/a.sh", "cd /ro" + "ot/x\n", "machine path"),
        ("tools/a.sh", "curl https://py" + "pi.org/simple\n", "registry host"),
    ],
)
def test_style_refuses(tree, path, text, complaint):
    errors = check_style.check(tree(path, text))
    assert any(complaint in error for error in errors), errors


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "int a;\n",
        HEAD + "double f(void) { return x->system(c) + my_strtol(s) + o.rand(); }\n",
        HEAD + "int f(void) { return run->exec(x) + refork(y); }\n",
        HEAD + '    {"row", "a row of a table may be longer", ' + "1, " * 40 + "},\n",
        HEAD + 'const char *template = "/x/XX' + 'XXXX";\n',
    ],
)
def test_style_accepts(tree, text):
    assert [e for e in check_style.check(tree("src/x/a.c", text)) if e.startswith("src/x/")] == []


OBJDUMP_P = (
    "  NEEDED               libm.so.6\n  NEEDED               libc.so.6\n  NEEDED               ld-linux-x86-64.so.2\n"
)
OBJDUMP_T = (
    "0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.34) __libc_start_main\n"
    "0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.2.5) free\n"
)
NEW_SYMBOL = "0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.36) pidfd_open\n"


def test_worker_accepts_what_an_image_has():
    assert list(check_worker.errors(OBJDUMP_P, OBJDUMP_T)) == []


def test_worker_refuses_a_newer_symbol():
    newer = OBJDUMP_T + NEW_SYMBOL + NEW_SYMBOL.replace("2.36) pidfd_open", "2.38) __isoc23_strtol")
    assert list(check_worker.errors(OBJDUMP_P, newer)) == [
        "needs pidfd_open of GLIBC_2.36",
        "needs __isoc23_strtol of GLIBC_2.38",
    ]


@pytest.mark.parametrize("glibc", ["2.36", "2.39", "2.43"])
def test_worker_is_judged_on_every_glibc(monkeypatch, capsys, glibc):
    """A build on a newer one is no excuse: the message says what to do about it."""
    tables = {"-p": OBJDUMP_P, "-T": OBJDUMP_T + NEW_SYMBOL}
    monkeypatch.setattr(check_worker.sys, "argv", ["check_worker.py", "llem-worker"])
    monkeypatch.setattr(check_worker.platform, "libc_ver", lambda: ("glibc", glibc))
    monkeypatch.setattr(
        check_worker.subprocess, "run", lambda command, **_: SimpleNamespace(stdout=tables[command[1]])
    )
    assert check_worker.main() == 1
    said = capsys.readouterr().out
    assert "llem-worker needs pidfd_open of GLIBC_2.36" in said
    assert f"built on glibc {glibc}" in said and "src/worker/glibc.c" in said
    tables["-T"] = OBJDUMP_T
    assert check_worker.main() == 0


def test_worker_refuses_another_library():
    assert list(check_worker.errors(OBJDUMP_P + "  NEEDED  libglib-2.0.so.0\n", "")) == [
        "needs libglib-2.0.so.0"
    ]


@pytest.fixture
def engine(tmp_path):
    """The folder of an engine that links one library beside it; engine(FLAG…) links the program again."""
    folder = tmp_path / "toy"
    (folder / "lib").mkdir(parents=True)
    (folder / "engine.json").write_text("{}")
    (folder / "toy.c").write_text("int f(void); int main(void) { return f(); }")
    (folder / "f.c").write_text("int f(void) { return 0; }")

    def link(*flags):
        subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libtoy.so.1", "-o", "lib/libtoy.so.1", "f.c"],
                       cwd=folder, check=True)
        subprocess.run(["cc", "-o", "toy", "toy.c", "lib/libtoy.so.1", *flags], cwd=folder, check=True)
        return folder

    return link


def test_engine_accepts_a_folder_that_is_whole(engine):
    folder = engine("-Wl,-rpath,$ORIGIN/lib")
    assert len(list(check_engine.elves(folder))) == 2
    assert list(check_engine.errors(folder)) == []


def test_engine_refuses_what_lies_elsewhere(engine, tmp_path):
    (elsewhere,) = check_engine.errors(engine(f"-Wl,-rpath,{tmp_path}/toy/lib"))
    assert elsewhere.endswith(f"looks for its libraries in {tmp_path}/toy/lib, not beside itself")
    folder = engine("-Wl,-rpath,$ORIGIN/lib")
    (folder / "lib" / "libtoy.so.1").unlink()
    assert list(check_engine.errors(folder)) == [f"{folder}/toy needs libtoy.so.1, which is not in {folder}"]


def test_engine_tells_the_c_library_and_the_gpus_from_the_rest():
    names = ["libc.so.6", "libdl.so.2", "ld-linux-x86-64.so.2", "libcuda.so.1", "libcudart.so.12", "libstdc++.so.6"]
    assert check_engine.missing(names, {"libtoy.so"}) == ["libstdc++.so.6"]
    assert check_engine.missing(names, {"libstdc++.so.6"}) == []
    assert check_engine.newest_glibc(OBJDUMP_T + NEW_SYMBOL) == "2.36"
    assert check_engine.newest_glibc("") == "0"


@pytest.mark.parametrize(
    "path, text, complaint",
    [
        ("src/config/config.h", "int study_load(const char *path);\n", "study_load() begins neither with config_"),
        ("src/config/config.h", "/* Two lines. */\nstruct a *\nload(int a,\n     int b);\n", "config.h:3: load() begins"),
        ("src/base/clock.h", "bool wait_until(int64_t t);\n", "wait_until() begins neither with base_"),
        ("src/config/c.c", "/* As config_gone() does. */\nint a;\n", "c.c:1: config_gone() does not exist"),
        ("src/config/c.c", 'int a; // see "b_c()"\n', "b_c() does not exist"),
    ],
)
def test_functions_refuse(tree, path, text, complaint):
    (error,) = check_functions.check(tree(path, text))
    assert complaint in error


@pytest.mark.parametrize(
    "path, text",
    [
        ("src/config/config.h", "struct config *config_new(void);\ntypedef int other_fn(void);\nint config_file_a(void);\n"),
        ("src/config/config.h", "static inline int anything(void)\n{\n    return 0;\n}\n"),
        ("src/config/internal.h", "int table_build(void);\n"),  # no public header
        ("src/base/clock.h", "int64_t clock_now(void);\nint extra_now(void);\n"),  # registered
        ("src/config/c.c", "/* config_new() makes it. */\nint config_new(void) { return 0; }\n"),
    ],
)
def test_functions_accept(tree, path, text):
    tree("docs/architecture.md", ARCHITECTURE + "\n## Prefixes\n\n| room | prefixes |\n|---|---|\n| `base` | `extra` |\n")
    assert check_functions.check(tree(path, text)) == []


JUNIT = """<testsuite><testcase name="unit.meter" status="run"><system-out>TAP version 13
1..3
ok 1 /meter/a
ok 2 /meter/rapl # SKIP {reason}
ok 3 /meter/b
</system-out></testcase><testcase name="unit.x" status="run"/></testsuite>"""


@pytest.mark.parametrize(
    "reason, strict, code",
    [
        ("needs:rapl no counter moves", True, 0),
        ("no counter moves", True, 1),
        ("needs:luck", True, 1),
        ("no counter moves", False, 0),
    ],
)
def test_skips_are_judged_by_their_need(tmp_path, reason, strict, code):
    (tmp_path / "ctest.xml").write_text(JUNIT.format(reason=reason))
    skips = list(check_skips.skips_of_junit(tmp_path / "ctest.xml"))
    assert skips == [("unit.meter:/meter/rapl", reason)]
    assert check_skips.report(skips, check_skips.load_needs(), strict) == code


def test_a_program_that_skips_as_a_whole_is_a_skip(tmp_path):
    (tmp_path / "ctest.xml").write_text(
        '<testsuite><testcase name="unit.x" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
        "<system-out>no card</system-out></testcase></testsuite>"
    )
    assert list(check_skips.skips_of_junit(tmp_path / "ctest.xml")) == [("unit.x", "no card")]


@pytest.mark.parametrize("reason, strict, code", [("needs:gpu none", "1", 0), ("why not", "1", 1), ("why not", "", 0)])
def test_pytest_skips_are_judged_too(tmp_path, reason, strict, code):
    """The hooks of tests/conftest.py, in a pytest of their own."""
    (tmp_path / "test_it.py").write_text(f"import pytest\ndef test_it():\n    pytest.skip({reason!r})\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "--rootdir", tmp_path, tmp_path],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "tests"), "LLEM_TEST_STRICT": strict},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert f"skips: 1 in all, {0 if 'needs:' in reason else 1} without a listed need" in done.stdout


def test_python_of_the_project_is_tidy():
    """ruff, with the rules of pyproject.toml."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
