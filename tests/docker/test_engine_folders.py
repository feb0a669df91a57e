"""What an engine's folder needs of an image: a C library, and nothing else."""

import pytest


def run_in(docker, build_dir, image, engine, *arguments):
    folder = build_dir / "libexec" / "llem" / "engines" / engine
    mount = f"type=bind,source={folder},target=/opt/llem/engines/{engine},readonly"
    return docker.run("run", "--rm", "--pull", "never", "--network", "none", "--mount", mount, docker.image(image),
                      f"/opt/llem/engines/{engine}/llem-engine-{engine}", *arguments)


def test_llamacpp_needs_nothing_but_a_c_library(docker, build_dir):
    """It is loaded with all its libraries, and an exception inside libllama finds its handler: the file it reads is none."""
    done = run_in(docker, build_dir, "base", "llamacpp", "--quantize", "/etc/passwd", "/tmp/out.gguf", "q4_0")
    assert done.returncode == 1, done.stderr
    assert "cannot make /tmp/out.gguf of /etc/passwd: libllama refused" in done.stderr
    assert "error while loading shared libraries" not in done.stderr


@pytest.mark.parametrize("engine", ["llamacpp", "sim"])
def test_without_a_c_library_it_does_not_start(docker, build_dir, engine):
    done = run_in(docker, build_dir, "noglibc", engine, "--quantize", "a", "b", "c")
    assert done.returncode != 0 and "no such file or directory" in done.stderr.lower(), done.stderr
