"""podman with a store of the tests' own in the build folder: nothing of the host's images or containers is seen.

What its configuration says is what this kind of machine needs (docs/docker.md): runc, which takes cgroups of both
versions, and limits that are not above those of whoever starts it.
"""

import shutil
import subprocess

import daemon as daemons

CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
init_path = "{init}"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{folder}/data"
runroot = "{folder}/run"
"""


def why_not():
    if not shutil.which("podman"):
        return "podman not found: tools/setup.sh test installs it"
    return daemons.why_not()


class Podman:
    def __init__(self, folder, docker):
        self.folder, self.docker = folder, docker
        folder.mkdir(parents=True, exist_ok=True)
        init = shutil.which("docker-init") or "/usr/bin/docker-init"
        (folder / "containers.conf").write_text(CONTAINERS.format(folder=folder, init=init))
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder))

    def env(self):
        return {"CONTAINERS_CONF": str(self.folder / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf")}

    def run(self, *arguments, timeout=120, **options):
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        env = daemons.environment() | self.env() | options.pop("env", {})
        return subprocess.run(["podman", *map(str, arguments)], timeout=timeout, env=env, **options)

    def ok(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"podman {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def image(self, kind):
        """The same image as docker's, under the same short name."""
        name = self.docker.image(kind)
        with daemons.locked(self.folder / "load.lock"):
            there = self.run("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()
            if there != self.docker.image_id(name).removeprefix("sha256:"):
                archive = self.docker.ok("save", name, text=False)
                self.ok("load", "-q", stdin=None, input=archive, text=False)
        return name

    def left(self):
        return self.run("ps", "-aq").stdout.split()


def end(podman):
    left = podman.left()
    if left:
        podman.run("rm", "-f", "-t", "0", *left)
    subprocess.run(["umount", "-l", *daemons.mounts_below(podman.folder)], capture_output=True)


