"""Brings a file of a data set: `bring.py SOURCE TARGET`. SOURCE is a URL or a path, TARGET a new file.

Lines of JSON and CSV are copied as they are. A Parquet file becomes lines of JSON through DuckDB: that of this Python, else one
that pip brings into a folder beside TARGET. With the standard library alone; what went wrong is the last line on stderr.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request

WAIT_S = 60
MOST_BYTES = 1 << 30  # nothing that is meant is larger


def bring(source, target):
    if "://" not in source:
        shutil.copyfile(source, target)
        return
    request = urllib.request.Request(source, headers={"User-Agent": "llem"})
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer, open(target, "wb") as file:
        while part := answer.read(1 << 20):
            if file.tell() + len(part) > MOST_BYTES:
                raise ValueError(f"{source} is larger than {MOST_BYTES} bytes")
            file.write(part)


def duckdb(folder):
    try:
        import duckdb
    except ImportError:
        packages = os.path.join(folder, "packages")
        command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
                   "--only-binary", ":all:", "--target", packages, "duckdb"]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise ValueError(f"this is a Parquet file, and DuckDB, which reads it, is not here: {last}") from None
        sys.path.append(packages)
        import duckdb
    return duckdb


def lines_of_parquet(path):
    rows = duckdb(os.path.dirname(path)).connect().execute("SELECT * FROM read_parquet(?)", [path])
    names = [column[0] for column in rows.description]
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str) for row in rows.fetchall()]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    source, target = sys.argv[1:]
    bring(source, target)
    with open(target, "rb") as file:
        parquet = file.read(4) == b"PAR1"
    if parquet:
        lines_of_parquet(target)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whatever it is, its last line is what people are told
        sys.exit(f"{sys.argv[1]}: {getattr(error, 'reason', None) or error}")
