"""What an engine says of its memory, by name, in the record: peaks and whose they are, and what holds after loading."""

import ggufs
import pytest
import toy

from studies import Study, metric, write

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
    for row in ("peak_memory_mb", "host_peak_memory_mb"):
        assert metric(r, row)["status"] == "measured"
        assert ("could not restart its peak" in metric(r, row).get("reason", "")) == (not there)
