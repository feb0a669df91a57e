"""Container images made from this machine's packages: no registry, no network, the same id for the same packages.

An image is a list of layers (tar files of files of this machine) and a configuration; `archive()` writes what
`docker load` takes. See daemon.py for what there is and how tests ask for it.
"""

import functools
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CREATED = "2026-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = "dev etc home opt proc root run srv sys tmp usr usr/bin usr/lib usr/lib64 usr/local usr/local/bin usr/sbin var var/tmp"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"
# Of the standard library: what no adapter needs, and modules whose libraries are half a system.
LEFT_OUT = re.compile(r"/(test|tests|idlelib|ensurepip|lib2to3|pydoc_data|tkinter|turtledemo|config-[^/]*)/|/(_tkinter|nis|_dbm|_gdbm)\.")


class Layer:
    """A tar file in the making: sorted by nothing but the order of calls, owners root, times as the packages have them."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)
        self.known = set()

    def _add(self, info, data=None):
        if info.name in self.known:
            return
        self.known.add(info.name)
        parent = os.path.dirname(info.name)
        if parent and parent not in self.known:
            self.folder(parent)
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        self.tar.addfile(info, io.BytesIO(data) if data is not None else None)

    def folder(self, name, mode=0o755):
        info = tarfile.TarInfo(name.strip("/"))
        info.type, info.mode = tarfile.DIRTYPE, mode
        self._add(info)

    def link(self, name, target):
        info = tarfile.TarInfo(name.strip("/"))
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
        self._add(info)

    def text(self, name, text, mode=0o644):
        self.data(name, text.encode(), mode)

    def data(self, name, data, mode=0o644, mtime=0):
        info = tarfile.TarInfo(name.strip("/"))
        info.size, info.mode, info.mtime = len(data), mode, int(mtime)
        self._add(info, data)

    def copy(self, source, name=None):
        """A file or a symbolic link of this machine, at the same place (below /usr where that is one tree)."""
        source = Path(source)
        name = name or merged(source)
        if source.is_symlink():
            self.link(name, os.readlink(source))
        elif source.is_file():
            status = source.stat()
            self.data(name, source.read_bytes(), status.st_mode & 0o755, status.st_mtime)

    def tree(self, source, name):
        """A folder with all below it."""
        for path in sorted(Path(source).rglob("*")):
            inside = f"{name}/{path.relative_to(source)}"
            if path.is_symlink() or path.is_file():
                self.copy(path, inside)
            elif path.is_dir():
                self.folder(inside)

    def close(self):
        self.tar.close()
        return self.bytes.getvalue()


def merged(path):
    """/lib/x -> /usr/lib/x: images have one tree, as those of today's distributions."""
    text = str(path)
    return "/usr" + text if text.startswith(("/bin/", "/sbin/", "/lib/", "/lib64/")) else text


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


@functools.lru_cache(None)
def package_of(path):
    """The Debian package a file is of, by any of the names it may be known under."""
    for name in (path, str(path).removeprefix("/usr"), os.path.realpath(path)):
        done = subprocess.run(["dpkg", "-S", str(name)], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.splitlines()[0].rpartition(": ")[0].split(",")[0]
    raise RuntimeError(f"no Debian package has {path}: tools/setup.sh test installs what the images are made of")


def package_files(package):
    return [Path(line) for line in output("dpkg", "-L", package).splitlines() if line.startswith("/")]


def versions(*packages):
    return output("dpkg-query", "-W", "-f", "${Package}=${Version}\n", *packages).split()


@functools.lru_cache(None)
def libc_files():
    """The loader and the libraries of glibc; no locales, no converters."""
    package = package_of(re.search(r"(\S*/libc\.so\.6)", output("ldd", "/bin/sh")).group(1))
    return package, [p for p in package_files(package) if re.search(r"/lib(64)?/.*\.so[.\d]*$", str(p)) and "/gconv/" not in str(p)]


def busybox():
    """The static busybox."""
    path = shutil.which("busybox")
    if not path:
        raise RuntimeError("no busybox (package busybox-static): tools/setup.sh test")
    return path


def skeleton(layer):
    for name in FOLDERS.split():
        layer.folder(name, {"tmp": 0o1777, "var/tmp": 0o1777}.get(name, 0o755))
    for name in ("bin", "lib", "lib64", "sbin"):
        layer.link(name, f"usr/{name}")
    layer.text("etc/passwd", PASSWD)
    layer.text("etc/group", GROUP)
    layer.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    program = busybox()
    layer.data("usr/bin/busybox", Path(program).read_bytes(), 0o755)
    for name in output(program, "--list").split():
        if name != "busybox":
            layer.link(f"usr/bin/{name}", "busybox")


def layer_noglibc():
    layer = Layer()
    skeleton(layer)
    return layer.close()


def layer_base():
    layer = Layer()
    skeleton(layer)
    for path in libc_files()[1]:
        layer.copy(path)
    return layer.close()


def hide_versions(data):
    """A glibc that does not know the symbol versions from 2.32 on and says that it is 2.31."""
    data = re.sub(rb"\0GLIBC_2\.3([2-9])\0", rb"\0GLIBC_0.3\1\0", data)
    data = re.sub(rb"\0GLIBC_2\.3([2-9])(?=\0)", rb"\0GLIBC_0.3\1", data)
    data = re.sub(rb"(GLIBC |release version )2\.3[2-9]", rb"\g<1>2.31", data)
    return re.sub(rb"\x002\.3[2-9]\0", b"\x002.31\0", data)


def layer_oldglibc():
    layer = Layer()
    skeleton(layer)
    for path in libc_files()[1]:
        if path.is_symlink() or not re.search(r"/(libc\.so|ld-)", str(path)):
            layer.copy(path)
        else:
            layer.data(merged(path), hide_versions(path.read_bytes()), 0o755)
    return layer.close()


def python_name():
    python = Path("/usr/bin/python3")
    if not python.exists():
        raise RuntimeError("no /usr/bin/python3 (package python3): tools/setup.sh test")
    return python.resolve().name


def layer_python():
    """Debian's Python with its standard library and the shared libraries that these link; no pip, no packages."""
    name, layer, objects = python_name(), Layer(), []
    packages = ["python3-minimal", f"{name}-minimal", f"lib{name}-minimal", f"lib{name}-stdlib"]
    for path in sorted({p for package in packages for p in package_files(package)}):
        if not str(path).startswith(("/usr/bin/python", f"/usr/lib/{name}/", "/etc/python")) or LEFT_OUT.search(str(path)):
            continue
        layer.copy(path)
        compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-{name[6:].replace('.', '')}.pyc"
        if path.suffix == ".py" and compiled.exists():
            layer.copy(compiled)
        if path.suffix == ".so" or path == Path(f"/usr/bin/{name}"):
            objects.append(str(path))
    glibc = {p.name for p in libc_files()[1]}
    for path in sorted(set(re.findall(r"=> (/\S+)", output("ldd", *objects)))):
        if Path(path).name not in glibc:
            layer.data(merged(path), Path(path).read_bytes(), 0o644)
    return layer.close()


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Image:
    """Layers and a configuration. `id` is the image id that docker gives it."""

    def __init__(self, layers, env=None, labels=None, entrypoint=None, command=("/bin/sh",), created=CREATED):
        self.layers = list(layers)
        environment = {"PATH": PATH, **(env or {})}
        config = {"Env": [f"{k}={v}" for k, v in environment.items()], "Cmd": list(command) if command else None,
                  "Labels": dict(labels or {}), "WorkingDir": "/"}
        if entrypoint:
            config["Entrypoint"] = list(entrypoint)
        self.config = json.dumps({
            "architecture": ARCHITECTURE, "os": "linux", "created": created, "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(layer)}" for layer in self.layers]},
            "history": [{"created": created, "created_by": "llem tests"} for _ in self.layers],
        }, sort_keys=True).encode()  # fmt: skip
        self.id = f"sha256:{sha(self.config)}"

    def archive(self, *names):
        """Bytes for `docker load`, which gives the image these names."""
        names = [name if ":" in name.rpartition("/")[2] else f"{name}:latest" for name in names]
        outer = Layer()
        for layer in self.layers:
            outer.data(f"{sha(layer)}/layer.tar", layer)
        outer.data(f"{sha(self.config)}.json", self.config)
        manifest = [{"Config": f"{sha(self.config)}.json", "RepoTags": names,
                     "Layers": [f"{sha(layer)}/layer.tar" for layer in self.layers]}]  # fmt: skip
        outer.data("manifest.json", json.dumps(manifest).encode())
        return outer.close()


@functools.lru_cache(None)
def layer(kind):
    """One of the layers by name, made once per process."""
    return {"base": layer_base, "noglibc": layer_noglibc, "oldglibc": layer_oldglibc, "python": layer_python}[kind]()


def cuda(version, require=None):
    """The variables of NVIDIA's CUDA images."""
    major, minor = version.split(".")[:2]
    return {"CUDA_VERSION": version, "NVIDIA_REQUIRE_CUDA": require if require is not None else f"cuda>={major}.{minor}",
            "NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}  # fmt: skip


BRANDS = " brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471"
# name -> kinds of layers, environment
KINDS = {
    "base": (["base"], {}),
    "python": (["base", "python"], {}),
    "noglibc": (["noglibc"], {}),
    "oldglibc": (["oldglibc"], {}),
    "cuda11": (["base"], cuda("11.8.0", "cuda>=11.8" + BRANDS)),
    "cuda12": (["base"], cuda("12.4.1", "cuda>=12.4" + BRANDS)),
    "cuda13": (["base"], cuda("13.0.1", "cuda>=13.0" + BRANDS)),
    "cudafuture": (["base"], cuda("99.0.0")),
}


@functools.lru_cache(None)
def inputs(kind):
    """What decides the content of an image of that kind: changed packages or a changed recipe make a new image."""
    packages = [package_of(busybox())] if kind == "noglibc" else [package_of(busybox()), libc_files()[0]]
    if kind == "python":
        packages += [f"lib{python_name()}-stdlib", f"{python_name()}-minimal"]
    recipe = sha(Path(__file__).read_bytes())
    return sha("\n".join([kind, recipe, *versions(*packages)]).encode())[:16]


def build(kind, env=None, labels=None, files=None, entrypoint=None, created=CREATED):
    """An image of a kind of KINDS with more variables, labels, and files: {path inside: text, bytes or Path}."""
    kinds, base_env = KINDS[kind]
    layers = [layer(k) for k in kinds]
    if files:
        more = Layer()
        for name, content in files.items():
            if isinstance(content, Path):
                more.tree(content, name) if content.is_dir() else more.copy(content, name)
            else:
                more.data(name, content.encode() if isinstance(content, str) else content, 0o755)
        layers.append(more.close())
    return Image(layers, {**base_env, **(env or {})}, labels, entrypoint, created=created)


@functools.lru_cache(None)
def compressed(layer_bytes):
    """As registries serve it, with the same bytes every time."""
    return gzip.compress(layer_bytes, compresslevel=1, mtime=0)
