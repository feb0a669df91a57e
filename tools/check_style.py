#!/usr/bin/env python3
"""The house rules that a regular expression can see, over every tracked file.

One row a rule: where it applies, what is refused, and what to do instead. Layout beyond these (breaks, alignment) is
left to .clang-format in the editor: its output differs between versions, so it is no test.
"""

import re
import subprocess
import sys
from pathlib import Path

C = r"\.(c|h|cc)$"
CODE = r"\.(c|h|cc|py|sh|cmake)$|CMakeLists\.txt$|Makefile$"
TEXT = r"\.(c|h|cc|py|sh|cmake|md|txt|ya?ml|json|toml)$|Makefile$|^\.ci/run$"
OURS = r"^(src|engines|sim|bench)/"

# (name, path must match, path must not match, refused in a line, what to do instead)
LINE_RULES = [
    (
        "banned function",
        C,
        "",
        r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets|gmtime|localtime"
        r"|asctime|ctime|system|popen|mktemp|tmpnam|tempnam|alloca|rand|srand|setjmp|longjmp)\s*\(",
        "unsafe, locale-bound or shell; base and GLib have the piece to call",
    ),
    (
        "spawner",
        r"^(src|engines)/.*" + C,
        r"^src/base/spawn\.c$|^engines/sim/fault\.c$",
        r"(?<![\w.>])(fork|vfork|posix_spawnp?|g_spawn_\w+|exec(v|ve|vp|vpe|l|lp|le))\s*\(",
        "use base/spawn.h, whose errors name the step that failed",
    ),
    (
        "standard output",
        r"^src/.*\.c$",
        r"^src/(base/output|base/spawn|cli/output|container/command|meter/nvml_api|worker/\w+)\.c$",
        r"(?<![\w.>])(v?printf|puts|putchar)\s*\(|[(,] ?stdout[,)]|STDOUT_FILENO",
        "libraries print there too: cli_print() and cli_out() of the command line, output_take() elsewhere",
    ),
    (
        "number parsing",
        OURS + r".*" + C,
        r"^src/base/",
        r"(?<![\w.>])(strto(l|ul|ll|ull|d|f|ld|imax|umax)|sscanf)\s*\(",
        "use base/num.h: whole string, range-checked, locale-free",
    ),
    (
        "GLib type",
        C,
        "",
        r"\b(gchar|gshort|gushort|gint|glong|gulong|gfloat|gdouble)\b",
        "plain C types; a GLib one only where a GLib signature asks for it",
    ),
    (
        "GObject or gio",
        C,
        "",
        r"#\s*include\s*<(gio|glib-object|gobject)|\bG_DEFINE_TYPE|\bg_object_(new|ref|unref)\b",
        "glib-2.0 only",
    ),
    ("umbrella include", OURS + r".*" + C, "", r'#\s*include\s*"\.\./', 'name the room: "room/header.h"'),
    (
        "unfinished",
        CODE,
        "",
        r"\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b",
        "finish it, or say in docs/requirements.md that it is not there yet",
    ),
    (
        "machine path",
        TEXT,
        "",
        r"(?<![\w.$}/])/(?:work|farm|root)/|/tmp/[b]ash_jobs|(?<![\w.])/home/(?!user\b|you\b)\w",
        "the project speaks of itself alone",
    ),
    (
        "registry host",
        TEXT,
        "",
        r"p[y]pi\.org|p[y]thonhosted\.org|registry\.n[p]mjs\.org|deb\.d[e]bian\.org|static\.c[r]ates\.io",
        "use the package manager by name",
    ),
    (
        "file of a study's folder",
        r"^src/.*" + C,
        r"^src/store/",
        r'"(study\.json|cells\.jsonl|journal\.jsonl)"',
        "room store knows the names in it: ask it",
    ),
    ("indirect comment", C, "", r"(/\*|^ \*) Whether\b", 'begin with a verb or a noun: "True if the file is there"'),
    (
        "name for g_autoptr",
        C,
        "",
        r"G_DEFINE_AUTO\w*\((?!owned_|json_t\b)",
        "a type that owns itself is called owned_…, wherever it is defined",
    ),
    ("tab", C, "", r"\t", "4 spaces"),
    ("trailing blank", TEXT, r"\.md$|^tests/golden/", r"[ \t]+$", "remove it"),
    (
        "long line",
        C + r"|\.sh$",
        "",
        r"^(?!\s*(\w*\(?X\(|ROW\(|\{|\"|/\* ?---))(?!.*\"(\\.|[^\"\\]){40,}\"[\w,;:(){} \\\[\]]{0,20}$)(?!.* \\$).{121,}$",
        "100 columns, 120 with a comment; a row of a table may be longer, and a line that ends in a text",
    ),
    (
        "long line",
        C + r"|\.sh$",
        "",
        r"^(?!\s*(X\(|\{|/\* ?---)).{133,}$",
        "132 columns even with a text; a row of a table may be longer",
    ),
]

# (path must match, most lines)
LENGTH_RULES = [(r"^(src|engines|sim)/.*" + C, 700), (r"^(tests|bench|tools)/.*\.(c|h|py|sh)$", 900)]


def tracked(root):
    """The files of the checkout that git knows or would add; every file outside a checkout."""
    done = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True
    )
    if done.returncode == 0:
        return sorted(name for name in done.stdout.splitlines() if (root / name).is_file())
    return sorted(
        str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "build" not in p.relative_to(root).parts
    )


def line_errors(name, lines):
    rules = [
        (what, re.compile(refused), hint)
        for what, where, but, refused, hint in LINE_RULES
        if re.search(where, name) and not (but and re.search(but, name))
    ]
    for number, line in enumerate(lines, 1):
        for what, refused, hint in rules:
            if refused.search(line):
                yield f"{name}:{number}: {what}: {line.strip()[:80]} ({hint})"


def file_errors(name, text):
    lines = text.splitlines()
    for where, most in LENGTH_RULES:
        if re.search(where, name) and len(lines) > most:
            yield f"{name}: {len(lines)} lines, more than {most}: is it one thing?"
    if re.search(OURS + r".*" + C, name):
        if not lines or "SPDX-License-Identifier: MIT" not in lines[0]:
            yield f"{name}:1: the first line is not the SPDX line"
        if name.endswith(".h") and "#pragma once" not in text:
            yield f"{name}: no #pragma once"
    if re.search(TEXT, name) and text and not text.endswith("\n"):
        yield f"{name}: no newline at the end"


def check(root):
    """Every violation under `root`, as text."""
    errors = []
    for name in tracked(root):
        if re.search(TEXT + "|" + CODE, name):
            text = (root / name).read_text(errors="replace")
            errors += line_errors(name, text.splitlines())
            errors += file_errors(name, text)
    return errors


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    errors = check(root)
    print("\n".join(errors) if errors else "style: nothing found")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
