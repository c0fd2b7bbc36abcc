"""Runs the examples of docs/import.md: each layout, written by Python, is stored as a dump is."""

import json
import re
import shlex

import numpy as np
import pyarrow as pa
import pytest
from conftest import CLI, run_cli
from pipe_reader import read_values

ROOT = CLI.parents[2]
PAGE = (ROOT / "docs" / "import.md").read_text()
EXAMPLES = dict(
    re.findall(r"^### (\S+)\n.*?(```python\n.*?```\n\n```sh\n.*?```)", PAGE, re.M | re.S)
)
K, LENGTH, V = 24, 32, 8192


@pytest.fixture(scope="module")
def lists():
    """The small LM's top lists as arrays [samples, n] and [samples, n, k]."""
    golden = ROOT / "test" / "golden" / "logits"
    logits = np.load(golden / "small-lm-rows0-511.f16.npy").astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    ids = np.argsort(-logprobs, axis=1, kind="stable")[:, :K]
    values = np.take_along_axis(logprobs, ids, 1).astype(np.float32)
    return {
        "tokens": np.load(golden / "small-lm-rows0-511.tokens.npy").reshape(-1, LENGTH),
        "ids": ids.reshape(-1, LENGTH, K),
        "logprobs": values.reshape(-1, LENGTH, K),
    }


@pytest.fixture(scope="module")
def dumped(lists, tmp_path_factory):
    """Stored rows of a dump of the same lists."""
    folder = tmp_path_factory.mktemp("dump")
    np.savez(
        folder / "lists.npz",
        ids=lists["ids"].reshape(-1, K),
        logprobs=lists["logprobs"].reshape(-1, K),
        tokens=lists["tokens"].ravel(),
        V=np.array(V),
    )
    store = folder / "store"
    logits = ["--logits", folder / "lists.npz", "--sample-length", str(LENGTH)]
    run_cli("build", *logits, "--store", store)
    return stored_rows(store)


def stored_rows(store):
    """Rows of the shards; what is decoded ends before each last position."""
    found = []
    for shard in sorted((store / "default" / "files").glob("*.arrow")):
        with pa.ipc.open_file(shard) as file:
            rows = file.read_all().to_pylist()
        for row in rows:
            if "teacher_frame" not in row:
                continue
            probs, rest = read_values(row["teacher_frame"])
            found.append((row["sample_id"], row["tokens"], row["mask"], probs, rest[:-1]))
    return found


def test_every_layout_has_an_example():
    layouts = re.findall(r"^### (\S+)$", PAGE, re.M)
    assert layouts == ["samples", "positions", "distillkit", "axolotl", "nemo-aligner"]
    assert list(EXAMPLES) == layouts


@pytest.mark.parametrize("layout", EXAMPLES)
def test_example_is_stored_as_a_dump_of_the_same_lists(
    layout, lists, dumped, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    python, shell = re.findall(r"```\w+\n(.*?)```", EXAMPLES[layout], re.S)
    exec(compile(python, f"docs/import.md: {layout}", "exec"), dict(lists))
    program, *arguments = shlex.split(shell)
    assert program == "logitcask"
    report = json.loads(run_cli(*arguments, "--store", "store", "--json"))
    origin = report["manifest"]["inputs"]["origin"]
    assert origin == f"top lists of lists ({layout}), over the whole vocabulary"
    rows = stored_rows(tmp_path / "store")
    assert len(rows) == len(dumped) == 16
    for row, expected in zip(rows, dumped):
        assert row[:3] == expected[:3]
        # some layouts have no list at the last position
        assert len(row[3]) in (len(expected[3]), len(expected[3]) - K)
        np.testing.assert_array_equal(row[3], expected[3][: len(row[3])])
        np.testing.assert_array_equal(row[4], expected[4])


def write_arrow(path, table, container, compression):
    options = pa.ipc.IpcWriteOptions(compression=compression)
    opened = pa.ipc.new_file if container == "file" else pa.ipc.new_stream
    with opened(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=5)


@pytest.mark.parametrize("container", ["file", "stream"])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_is_stored_as_a_dump_of_the_same_lists(
    container, compression, lists, dumped, tmp_path
):
    ids = lists["ids"].astype(np.uint32 if container == "file" else np.int64)
    fixed = (lambda item: pa.list_(item, K)) if compression == "zstd" else pa.list_
    meta = [None if i % 3 == 0 else f"part {i % 2}" for i in range(len(ids))]
    columns = {
        "tokens": pa.array(list(lists["tokens"])),
        "ids": pa.array(ids.tolist(), pa.list_(fixed(pa.from_numpy_dtype(ids.dtype)))),
        "logprobs": pa.array(lists["logprobs"].tolist(), pa.list_(fixed(pa.float32()))),
        "part": pa.array(meta).dictionary_encode(),
    }
    path = tmp_path / "lists.arrow"
    write_arrow(path, pa.table(columns), container, compression)
    run_cli("import", path, "--vocabulary", str(V), "--store", tmp_path / "store")
    rows = stored_rows(tmp_path / "store")
    assert len(rows) == len(dumped)
    for row, expected in zip(rows, dumped):
        assert row[:3] == expected[:3]
        np.testing.assert_array_equal(row[3], expected[3])
