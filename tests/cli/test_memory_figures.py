"""What an engine says of its memory, by name, in the record: peaks and whose they are, and what holds after loading."""

import sys

import adapters
import ggufs
import pytest
import toy

from studies import MODELLED, Study, check_is_a_part, metric, write

FIGURES = {"peak_bytes": 7_000_000, "reserved_peak_bytes": 9_000_000, "device_bytes": 11_000_000, "rss_peak_bytes": 5_000_000,
           "weights_bytes": 3_000_000, "kv_cache_bytes": 2_000_000}  # fmt: skip
ROWS = {"peak_bytes": "peak_memory_mb", "reserved_peak_bytes": "reserved_memory_mb", "device_bytes": "device_memory_mb",
        "rss_peak_bytes": "host_peak_memory_mb", "weights_bytes": "weights_mb", "kv_cache_bytes": "kv_cache_mb"}  # fmt: skip


def replaced(text, *pairs):
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def record(llem, tmp_path):
    """record(pairs, fields): of a run of the documentation's adapter with these replacements in it."""

    def go(*pairs, **fields):
        toy.install(llem, program=replaced(toy.raw(), *pairs))
        fields = {"backend": "toy", "n": 2, "max_output_tokens": 3, "energy.modelled": False, **fields}
        path = write(tmp_path / "s.yaml", fields, execution={"n_cycles": 1})
        llem.ok("run", path, "-o", tmp_path / "results")
        study = next((tmp_path / "results").glob("*/study.json")).parent
        return Study(study).result()

    return go


SAYS = ('{"rss_peak_bytes": peak, "device_bytes": "the toy engine uses no device"}', repr(FIGURES))
RESTARTS = ('"peak_memory": False}', '"peak_memory": peak_memory}')


@pytest.mark.parametrize("restarts", [True, False])
def test_figures_by_name_and_whose_peak_it_is(record, restarts):
    r = record(SAYS, *([RESTARTS] if restarts else []))
    for name, row in ROWS.items():
        figure = metric(r, row)
        assert (figure["status"], figure["method"]) == ("measured", "engine"), row
        assert figure["value"] == FIGURES[name] / 1e6, row
        stale = "peak" in name and not restarts
        assert ("could not restart its peak" in figure.get("reason", "")) == stale, row
    assert r["memory"]["peak_restarted"] is restarts
    assert r["memory"]["load"] == r["memory"]["figures"] == FIGURES


def test_a_figure_that_is_computed_is_no_measurement(record):
    r = record(SAYS, ('return {"figures": ', 'return {"computed": ["kv_cache_bytes"], "figures": '))
    assert metric(r, "kv_cache_mb")["status"] == "modelled"
    assert metric(r, "weights_mb")["status"] == "measured"


COMPILES = ('"t1_ns": now(), "quiescent": True}', '"compile": self.compiled(), "t1_ns": now(), "quiescent": True}')


@pytest.mark.parametrize("from_s", [0, -1])
def test_what_is_compiled_while_loading_stands_apart(record, llem, tmp_path, from_s):
    compiled = ("    def on_shutdown(self):", "    def compiled(self):\n        t0 = now()\n        while now() < t0 + 200000000: pass\n"
                f'        return {{"t0_ns": t0 + {from_s * 10**9}, "t1_ns": now()}}\n\n    def on_shutdown(self):')  # fmt: skip
    if from_s:
        with pytest.raises(AssertionError, match="'compile' does not lie within loading"):
            record(COMPILES, compiled)
        return
    r = record(COMPILES, compiled, **MODELLED)
    at, load = r["timing"]["compile"], r["timing"]["load"]
    assert load["t0_ns"] < at["t0_ns"] < at["t1_ns"] <= load["t1_ns"]
    assert 0.2 <= metric(r, "compile_s")["value"] == pytest.approx((at["t1_ns"] - at["t0_ns"]) / 1e9)
    check_is_a_part(metric(r, "compile_energy_j"), metric(r, "load_energy_j"))


def test_an_adapter_that_does_not_say_when_it_compiled(record):
    r = record(SAYS)
    assert "does not say when it compiled" in metric(r, "compile_s")["reason"]
    assert r["timing"]["compile"] is None


@pytest.mark.parametrize("quiescent", [True, False])
def test_an_engine_that_is_not_idle_after_loading(record, quiescent):
    r = record(('"t1_ns": now(), "quiescent": True}', f'"t1_ns": now(), "quiescent": {quiescent}}}'))
    assert r["engine"]["quiescent"] is quiescent
    assert ("engine_not_quiescent" in r["flags"]) == (not quiescent)


def test_the_remark_is_shown(llem, record, tmp_path):
    record(SAYS)
    run = next((tmp_path / "results").glob("*/001*"))
    assert "could not restart its peak before the work" in llem.ok("show", run)


@pytest.mark.parametrize("there", [True, False])
def test_llama_cpp_on_a_system_without_clear_refs(llem, build_dir, tmp_path, there):
    llem.env |= {"LD_PRELOAD": str(build_dir / "tests" / "librecording_llama.so"),
                 "ASAN_OPTIONS": "verify_asan_link_order=0"}  # fmt: skip
    if not there:
        llem.env["LLEM_TEST_NO_CLEAR_REFS"] = "1"
    model = ggufs.write(tmp_path / "tiny.gguf", *ggufs.llama())
    path = write(tmp_path / "s.yaml", {"backend": "llamacpp", "model": str(model), "energy.modelled": False},
                 execution={"n_cycles": 1})  # fmt: skip
    llem.ok("run", path, "-o", tmp_path / "results")
    r = Study(next((tmp_path / "results").glob("*/study.json")).parent).result()
    assert r["memory"]["peak_restarted"] is there
    peak = metric(r, "host_peak_memory_mb")
    assert peak["status"] == "measured"
    assert ("could not restart its peak" in peak.get("reason", "")) == (not there)
    for row in ("peak_memory_mb", "load_memory_mb"):
        assert metric(r, row)["status"] == "absent"
        assert "keeps no account of what it allocates" in metric(r, row)["reason"]


# --- known amounts, found again: MB are 10^6 bytes

MB = 1_000_000
ALLOCATES = (("self.options, self.batches, self.done = options, {}, {}", f'self.held = b"w" * {40 * MB}; '
              "self.options, self.batches, self.done = options, {}, {}"),
             ("t0, rows = now(), []", f't0, rows, scratch = now(), [], b"s" * {60 * MB}'))  # fmt: skip
SILENT = ('{"rss_peak_bytes": peak, "device_bytes": "the toy engine uses no device"}', '{"peak_bytes": "it keeps no account"}')


def test_what_the_simulated_engine_says_of_known_amounts(llem, tmp_path):
    fields = {"sim.memory_mib": 30, "sim.kv_bytes_per_token": 5000, "sim.batch_size": 2, "n": 2, "max_output_tokens": 4}
    llem.ok("run", write(tmp_path / "s.yaml", fields, execution={"n_cycles": 1}), "-o", tmp_path / "results")
    r = Study(next((tmp_path / "results").glob("*/study.json")).parent).result()
    weights, cache = 30 * 1048576 / MB, 5000 * (sum(r["workload"]["input_tokens"]) + 8) / MB
    for row, value in {"weights_mb": weights, "load_memory_mb": weights, "kv_cache_used_mb": cache,
                       "peak_memory_mb": weights + cache}.items():  # fmt: skip
        assert metric(r, row)["value"] == pytest.approx(value, rel=1e-9), row
    for row in ("host_load_memory_mb", "host_rss_mb", "host_pss_mb", "host_peak_memory_mb"):
        assert weights < metric(r, row)["value"] < weights + 15, row


def test_what_a_process_really_allocates(record):
    """40 MB at load for good, 60 MB while it works; by the kernel's count, since the adapter says nothing."""
    r = record(*ALLOCATES, SILENT)
    load, after, peak = (metric(r, row)["value"] for row in ("host_load_memory_mb", "host_rss_mb", "host_peak_memory_mb"))
    assert 40 < load < 70
    assert after == pytest.approx(load, abs=4)
    assert peak == pytest.approx(after + 60, abs=4)
    assert metric(r, "host_pss_mb")["value"] <= after
    assert metric(r, "host_peak_memory_mb")["method"] == "proc"
    assert "reason" not in metric(r, "host_peak_memory_mb")
    assert metric(r, "peak_memory_mb")["reason"] == metric(r, "load_memory_mb")["reason"] == "it keeps no account"


def test_all_processes_of_an_engine_count(record):
    """Two that share 40 MB: resident in both, once in their proportional shares."""
    child = ('"pids": [os.getpid()]', '"pids": [os.getpid(), self.child]')
    fork = (f'self.held = b"w" * {40 * MB}; ', f'self.held = b"w" * {40 * MB}; self.child = os.fork() or self.wait(); ')
    wait = ("    def on_shutdown(self):\n        return {}", "    def on_shutdown(self):\n        os.kill(self.child, 9)\n        "
            "return {}\n\n    def wait(self):\n        self.sock.close()\n        time.sleep(600)\n        os._exit(0)")  # fmt: skip
    r = record(ALLOCATES[0], SILENT, child, fork, wait)
    rss, pss = metric(r, "host_rss_mb"), metric(r, "host_pss_mb")
    assert rss["method"] == "proc, sum over 2 processes"
    assert rss["value"] > 80 and 40 < pss["value"] < rss["value"] - 38


def test_the_table_has_the_memory_that_there_is(llem, record, tmp_path):
    record(SILENT)
    run = next((tmp_path / "results").glob("*/study.json")).parent
    shown = llem.ok("show", run)
    assert "peak MB (process)" in shown and shown.count("peak MB") == 1
    toy.install(llem, program=replaced(toy.block("python"), SILENT))
    path = tmp_path / "both.yaml"
    write(path, {"n": 1, "max_output_tokens": 2}, sweep={"backend": ["toy", "sim"]}, execution={"n_cycles": 1})
    text = path.read_text().replace('"backend": "sim",', "")
    path.write_text(text)
    shown = llem.ok("run", path, "-o", tmp_path / "both")
    assert "peak MB  peak MB (process)" in shown
    write(path, {"n": 1, "max_output_tokens": 2}, execution={"n_cycles": 1})
    shown = llem.ok("run", path, "-o", tmp_path / "one")
    assert "peak MB" in shown and "(process)" not in shown


@pytest.mark.parametrize("name", ["sim", "toy", "raw"])
def test_the_resident_peak_of_an_engine_is_its_own(build_dir, tmp_path, name):
    """A process that is forked of one that held much has not held it itself."""
    programs = {"toy": toy.block("python"), "raw": toy.raw()}
    program = tmp_path / "adapter.py"
    program.write_text(programs.get(name, ""))
    argv = [build_dir / "libexec" / "llem" / "engines" / "sim" / "llem-engine-sim"] if name == "sim" else [sys.executable, program]
    much = bytearray(300 << 20)
    much[::4096] = b"1" * len(much[::4096])
    adapter = adapters.Spoken(argv, tmp_path)
    try:
        adapter.ok("hello", protocol=1)
        adapter.ok("load", config={})
        figures = adapter.ok("memory")["figures"]
    finally:
        adapter.close()
    assert 0 < figures["rss_peak_bytes"] < 200 << 20
    assert len(much) > figures["rss_peak_bytes"]
