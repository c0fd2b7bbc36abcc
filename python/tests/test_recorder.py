"""The recorder against the real server: what it pushes is what the model said."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from conftest import CLI, run_cli, serve
from recorder_teacher import V, batch, sequence

from logitcask import LogitcaskError, LogitDataset, Recorder
from logitcask._choose import draw, start_draws, top_k

torch = pytest.importorskip("torch")


@pytest.fixture
def place(tmp_path):
    assert CLI.exists(), f"{CLI} is missing: run `npm run build` first"
    with serve(tmp_path / "store") as (url, _):
        yield url, tmp_path


def record(place, dataset, **more):
    url, folder = place
    return Recorder(url, dataset, teacher="known", spool=folder / "spool", **more)


def rows(url, dataset):
    import urllib.request

    path = f"{url}/v1/datasets/{dataset}/snapshots/latest/rows?length=100"
    with urllib.request.urlopen(path, timeout=30) as reply:
        return json.loads(reply.read())["rows"]


def test_top_k_is_pushed_and_served_as_it_was(place):
    tokens, logits, attention = batch(range(8))
    prompt = np.zeros_like(attention)
    prompt[:, :5] = 1
    with record(place, "lists", top_k=16) as recorder:
        recorder.write(
            torch.from_numpy(tokens),
            torch.from_numpy(logits),
            attention_mask=torch.from_numpy(attention),
            prompt_mask=torch.from_numpy(prompt),
            meta=[{"sequence": i} for i in range(8)],
        )
        recorder.write(*sequence(100), meta={"sequence": 8})
    (reply,) = recorder.commits
    assert (reply["samples"], reply["duplicates"]) == (9, 0)
    for i, row in enumerate(rows(place[0], "lists")):
        own, raw = sequence(i) if i < 8 else sequence(100)
        assert row["tokens"] == own.tolist()
        assert row["meta"] == {"sequence": i}
        learned = [t >= (4 if i < 8 else 0) and t < len(own) - 1 for t in range(len(own))]
        assert row["mask"] == learned
        logprobs = torch.log_softmax(torch.from_numpy(raw).double(), -1).numpy()
        targets = row["targets"]["teacher"]
        assert targets["counts"] == [16] * len(own)
        for t in range(len(own)):
            ids = targets["ids"][16 * t : 16 * t + 16]
            expected = np.argsort(-logprobs[t], kind="stable")[:16]
            assert sorted(ids) == sorted(expected.tolist())
            probs = np.array(targets["probs"][16 * t : 16 * t + 16])
            np.testing.assert_allclose(probs, np.exp(logprobs[t][ids]), atol=4e-3)
            np.testing.assert_allclose(
                targets["rest"][t], 1 - np.exp(logprobs[t][expected]).sum(), atol=2e-3
            )
            if t + 1 < len(own):
                label = targets["label_logprob"][t]
                assert label == pytest.approx(logprobs[t, own[t + 1]], rel=1e-3)
        assert targets["label_logprob"][-1] is None
    run_cli("verify", "lists", "--store", place[1] / "store")


def test_draws_are_unbiased_and_keyed(place):
    with record(place, "draws", tau=0.05) as recorder:
        for i in range(0, 24, 8):
            tokens, logits, attention = batch(range(i, i + 8))
            recorder.write(
                torch.from_numpy(tokens), torch.from_numpy(logits), attention_mask=attention
            )
    found = rows(place[0], "draws")
    assert len(found) == 24
    weights, expected = np.zeros(V), np.zeros(V)
    for i, row in enumerate(found):
        targets = row["targets"]["teacher"]
        assert targets["rest"] is None or not targets["rest"]
        np.add.at(weights, targets["ids"], targets["probs"])
        raw = torch.from_numpy(sequence(i)[1]).double()
        expected += torch.softmax(raw, -1).sum(0).numpy()
    assert weights.sum() == pytest.approx(expected.sum(), rel=0.01)
    assert np.abs(weights - expected).max() < 6
    loader = LogitDataset(place[0], "draws", batch_size=8)
    assert sum(one.rows for one in loader) == 24


def test_a_build_from_the_same_logits_holds_the_same_draws(place, tmp_path):
    """Keys, start of the draws, and rounding are those of `build`."""
    tokens, logits = sequence(3)
    with record(place, "pushed", tau=0.05) as recorder:
        recorder.write(torch.from_numpy(tokens), torch.from_numpy(logits))
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "tokens.npy", tokens)
    config = {
        "dataset": "built",
        "source": {
            "type": "dump",
            "logits": str(tmp_path / "logits.npy"),
            "tokens": str(tmp_path / "tokens.npy"),
        },
        "sparsifier": {"type": "threshold", "tau": 0.05},
    }
    (tmp_path / "built.yaml").write_text(json.dumps(config))
    run_cli("build", "--config", tmp_path / "built.yaml", "--store", place[1] / "store")
    (pushed,), (built,) = rows(place[0], "pushed"), rows(place[0], "built")
    assert pushed["sample_id"] == built["sample_id"]
    found = [one["targets"]["teacher"] for one in (pushed, built)]
    assert found[0]["counts"] == found[1]["counts"]

    def heads(targets):
        """Entries of more than τ: those at τ are drawn in another order of the ids."""
        where = np.repeat(np.arange(len(targets["counts"])), targets["counts"])
        entries = zip(where.tolist(), targets["ids"], targets["probs"])
        return {entry for entry in entries if entry[2] > 0.06}

    assert len(heads(found[0])) > 50
    assert heads(found[0]) == heads(found[1])


@pytest.mark.parametrize("seed", range(4))
def test_numpy_chooses_as_torch_does(seed):
    rng = np.random.default_rng(seed)
    logits = (3 * rng.normal(size=(20, V))).astype(np.float32)
    labels = rng.integers(0, V, 20)
    ours = top_k(logits, labels, 10)
    theirs = top_k(torch.from_numpy(logits), torch.from_numpy(labels), 10)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-5)
    starts = start_draws(rng.bytes(16), 20)
    assert ((starts >= 0) & (starts < 1)).all() and len(set(starts)) == 20
    ours = draw(logits, labels, 0.03, starts)
    theirs = draw(torch.from_numpy(logits), torch.from_numpy(labels), 0.03, starts)
    assert (ours[4] == theirs[4].numpy()).all()
    assert np.mean(ours[0] == theirs[0].numpy()) > 0.98
    assert (ours[4] <= 34).all()


def test_numpy_logits_need_no_torch(place):
    with record(place, "arrays") as recorder:
        recorder.write(*sequence(0))
        recorder.write(*sequence(0))
        recorder.write(*sequence(1))
    assert recorder.commits[0]["samples"] == 2
    assert recorder.commits[0]["duplicates"] == 1


def test_what_is_wrong_is_refused(place):
    tokens, logits = sequence(0)
    with pytest.raises(LogitcaskError, match="NaN"), record(place, "wrong") as recorder:
        recorder.write(tokens, np.full_like(logits, np.nan))
        recorder.flush()
    recorder = record(place, "wrong")
    for wrong in ((tokens[:-1], logits), (tokens, logits[0])):
        with pytest.raises(LogitcaskError, match="request-invalid"):
            recorder.write(*wrong)
    with pytest.raises(LogitcaskError, match="build-running"):
        record(place, "wrong")
    recorder.write(tokens, np.roll(logits, -1, axis=0))
    with pytest.raises(LogitcaskError, match="source-misaligned"):
        recorder.close()


def test_the_server_may_come_later_and_shards_may_be_many(tmp_path):
    with serve(tmp_path / "store") as (url, _):
        pass
    port = int(url.rsplit(":", 1)[1])
    place = url, tmp_path
    recorder = record(place, "later")
    for i in range(12):
        recorder.write(*sequence(i))
        recorder.flush()
    with pytest.raises(LogitcaskError, match="server-unreachable"):
        recorder.commit(timeout_s=0.5)
    with serve(tmp_path / "store", port):
        recorder.close()
        assert recorder.commits[0]["samples"] == 12
        assert len(rows(url, "later")) == 12


def test_a_full_spool_is_committed_while_more_waits(tmp_path):
    with serve(tmp_path / "store") as (url, _):
        pass
    place = url, tmp_path
    recorder = record(place, "behind", commit_bytes=60_000)
    for i in range(12):
        recorder.write(*sequence(i))
        recorder.flush()
    with serve(tmp_path / "store", int(url.rsplit(":", 1)[1])):
        recorder.close()
        samples = [one["samples"] for one in recorder.commits]
        assert sum(samples) == 12 and max(samples) <= 4
        assert len(rows(url, "behind")) == 12


def test_a_full_upload_is_committed_and_what_is_left_waits(tmp_path):
    with serve(tmp_path / "store") as (url, _):
        pass
    place = url, tmp_path
    first = record(place, "parts")
    for i in range(8):
        first.write(*sequence(i))
        first.flush()
    sizes = list(first._spool.sizes().values())
    first.__exit__(KeyboardInterrupt)
    with serve(tmp_path / "store", int(url.rsplit(":", 1)[1])):
        recorder = record(place, "parts", commit_bytes=sum(sizes[:3]))
        recorder._sender.wait(commit=False, timeout_s=20)
        recorder.write(*sequence(8))
        recorder.close()
        assert [one["samples"] for one in recorder.commits] == [3, 3, 3]


def test_each_shard_may_be_committed(place):
    with record(place, "each", commit_bytes=0) as recorder:
        for i in range(3):
            recorder.write(*sequence(i))
            recorder.flush()
    assert [one["samples"] for one in recorder.commits] == [1, 1, 1]


def test_what_was_written_may_be_changed(place):
    tokens, logits = sequence(0)
    meta = {"step": 1}
    reused = tokens.copy(), logits.copy()
    prompt = np.zeros(len(tokens), int)
    other = [torch.from_numpy(one) for one in sequence(1)]
    with record(place, "reused") as recorder:
        put, late = recorder._encoder.put, []
        recorder._encoder.put = late.append
        recorder.write(*reused, prompt_mask=prompt, meta=meta)
        recorder.write(*other)
        meta["step"] = 2
        for array in (*reused, prompt, *other):
            array[:] = 1
        for item in late:
            put(item)
    first, second = rows(place[0], "reused")
    assert (first["tokens"], first["meta"]) == (tokens.tolist(), {"step": 1})
    assert second["tokens"] == sequence(1)[0].tolist()
    assert first["mask"] == [True] * (len(tokens) - 1) + [False]


def test_meta_that_cannot_be_kept_is_refused_at_once(place):
    with record(place, "meta") as recorder:
        for wrong in ({"loss": float("nan")}, {"a": np.int64(1)}, "text"):
            with pytest.raises(LogitcaskError, match="no JSON object"):
                recorder.write(*sequence(0), meta=wrong)
        recorder.write(*sequence(0), meta={"loss": 0.5})
    assert recorder.commits[0]["samples"] == 1


def test_workers_share_an_upload(place):
    url, folder = place
    workers = [
        Recorder(
            url,
            "shared",
            teacher="known",
            upload="run-1",
            worker=worker,
            spool=folder / f"spool-{worker}",
        )
        for worker in range(3)
    ]
    for worker, recorder in enumerate(workers):
        for i in range(4):
            recorder.write(*sequence(4 * worker + i))
    for recorder in workers[1:]:
        recorder.close()
    reply = workers[0].commit()
    workers[0].close()
    assert reply["samples"] == 12
    # the others kept theirs, as nobody told them: a later run drops what the server has
    again = Recorder(
        url, "shared", teacher="known", upload="run-1", worker=1, spool=folder / "spool-1"
    )
    deadline = time.monotonic() + 20
    while not again.commits and time.monotonic() < deadline:
        time.sleep(0.05)
    again.close()
    assert [(one["samples"], one["duplicates"]) for one in again.commits] == [(0, 4)]
