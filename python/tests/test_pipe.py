"""The whole pipe against numpy and pyarrow: what was dumped is what every reader gets."""

import json
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pytest
from conftest import BUILDS, K, V
from pipe_reader import read_frame, read_values, shard_rows, stored_batch, whole_plan

from logitcask.client import ARROW

FRAMES = ("planes", "lz4")
STEP = {"planes": 0.003, "lz4": 0.01, "parquet": 0.003}


@pytest.mark.parametrize("name", FRAMES)
def test_shards_http_frames_and_json_rows_are_equal(pipe, fetch, name):
    shards = shard_rows(pipe, name)
    plan = whole_plan(pipe, name)
    path = f"/v1/plans/{plan.id}/epochs/0/steps/0?layout=frames&snapshot={plan.snapshots[0]}"
    sent = pa.ipc.open_stream(fetch(path, ARROW)).read_all()
    for column in shards.schema.names:
        # as text: NaN equals NaN
        assert str(sent[column].to_pylist()) == str(shards[column].to_pylist())
    rows = json.loads(fetch(f"/v1/datasets/{name}/snapshots/latest/rows?length=100"))
    assert rows["total"] == shards.num_rows == len(rows["rows"])
    for ordinal, (row, stored) in enumerate(zip(rows["rows"], shards.to_pylist())):
        targets = row["targets"]["teacher"]
        probs, rest = read_values(stored["teacher_frame"])
        expected = read_frame(stored["teacher_frame"])
        assert row["ordinal"] == ordinal
        assert row["sample_id"] == stored["sample_id"].hex()
        assert (row["tokens"], row["mask"]) == (stored["tokens"], stored["mask"])
        assert row["meta"] == json.loads(stored["meta"])
        assert (targets["counts"], targets["ids"]) == (expected["counts"], expected["ids"])
        np.testing.assert_array_equal(np.float32(targets["probs"]), probs)
        np.testing.assert_array_equal(np.float32(targets["rest"]), rest)
        np.testing.assert_array_equal(
            np.array(targets["label_logprob"], np.float64),
            np.array(stored["teacher_label_logprob"], np.float64),
        )


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("layout", ["frames", "plain"])
def test_decoded_values_are_the_formulas_bit_for_bit(pipe, name, layout):
    frames = shard_rows(pipe, name)["teacher_frame"].to_pylist()
    batch = stored_batch(pipe, name, layout)
    values = [read_values(frame) for frame in frames]
    integers = [read_frame(frame) for frame in frames]
    counts = list(chain.from_iterable(one["counts"] for one in integers))
    assert np.diff(batch["teacher_offsets"]).tolist() == counts
    assert batch["teacher_ids"].tolist() == list(chain.from_iterable(i["ids"] for i in integers))
    np.testing.assert_array_equal(batch["teacher_probs"], np.concatenate([v[0] for v in values]))
    np.testing.assert_array_equal(batch["teacher_rest"], np.concatenate([v[1] for v in values]))


@pytest.mark.parametrize("name", BUILDS)
def test_dense_batches_are_the_same_entries_in_rank_order(pipe, name):
    flat, dense = stored_batch(pipe, name, "plain"), stored_batch(pipe, name, "dense")
    assert dense["teacher_ids"].shape == (flat.rows, 40, K)
    assert dense["length"].tolist() == np.diff(flat["offsets"]).tolist()
    for row, (first, last) in enumerate(pairwise(flat["offsets"])):
        n = last - first
        np.testing.assert_array_equal(dense["tokens"][row, :n], flat["tokens"][first:last])
        np.testing.assert_array_equal(dense["mask"][row, :n], flat["mask"][first:last])
        np.testing.assert_array_equal(
            dense["teacher_label_logprob"][row, :n],
            flat["teacher_label_logprob"][first:last].astype(np.float32),
        )
        np.testing.assert_array_equal(
            dense["teacher_rest"][row, :n], flat["teacher_rest"][first:last]
        )
        assert not dense["tokens"][row, n:].any() and not dense["mask"][row, n:].any()
        assert (dense["teacher_rest"][row, n:] == 1).all()
        assert np.isnan(dense["teacher_label_logprob"][row, n:]).all()
    for row, t, entries in positions_of(flat):
        ids, probs = flat["teacher_ids"][entries], flat["teacher_probs"][entries]
        order = np.lexsort((ids, -probs))
        count = len(order)
        assert dense["teacher_ids"][row, t, :count].tolist() == ids[order].tolist()
        np.testing.assert_allclose(
            dense["teacher_logprobs"][row, t, :count],
            np.log(probs[order].astype(np.float64)),
            rtol=2e-7,
            atol=2e-7,
        )
        assert (dense["teacher_logprobs"][row, t, count:] == -np.inf).all()


def positions_of(batch):
    """(sample, position in it, slice of its entries) of every position."""
    offsets, ends = batch["offsets"], batch["teacher_offsets"]
    for row in range(batch.rows):
        for t in range(offsets[row], offsets[row + 1]):
            yield row, t - offsets[row], slice(ends[t], ends[t + 1])


@pytest.mark.parametrize("name", BUILDS)
def test_stored_targets_are_the_teachers_top_k_within_the_step(pipe, name):
    """Stored order is the dump's order, so position t of the batch is row t of the logits."""
    batch, exact = stored_batch(pipe, name, "plain"), pipe.dump.logprobs
    top = np.argsort(-exact, axis=1, kind="stable")[:, :K]
    bound = STEP.get(name, 0) / 2 + 1e-6
    for t, (first, last) in enumerate(pairwise(batch["teacher_offsets"])):
        ids, probs = batch["teacher_ids"][first:last], batch["teacher_probs"][first:last]
        roots = np.exp(exact[t, top[t]] / 2)
        kept = top[t][roots > bound]
        assert set(kept) <= set(ids.tolist()) <= set(top[t])
        np.testing.assert_allclose(np.sqrt(probs), np.exp(exact[t, ids] / 2), atol=3 * bound)
        rest = 1 - np.exp(exact[t, ids]).sum()
        np.testing.assert_allclose(batch["teacher_rest"][t], rest, rtol=1 / 4096 + 1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FRAMES)
def test_levels_are_within_half_a_step_of_the_root(pipe, name):
    exact, t = pipe.dump.logprobs, 0
    for frame in shard_rows(pipe, name)["teacher_frame"].to_pylist():
        one, i = read_frame(frame), 0
        assert one["step"] == np.float32(STEP[name])
        for count in one["counts"]:
            roots = np.exp(exact[t, one["ids"][i : i + count]] / 2)
            stored = np.multiply(one["levels"][i : i + count], one["step"])
            assert np.abs(stored - roots).max() <= one["step"] / 2 + 1e-6
            t, i = t + 1, i + count
    assert t == len(exact)


@pytest.mark.parametrize("name", BUILDS)
def test_label_logprobs_and_log_z_are_the_teachers(pipe, name):
    batch, exact = stored_batch(pipe, name, "plain"), pipe.dump.logprobs
    expected = exact[np.arange(len(exact)), pipe.dump.next]
    np.testing.assert_allclose(batch["teacher_label_logprob"], expected, rtol=2**-11 + 1e-6)
    if batch.target_sets["teacher"].log_z == (2,):
        log_z = np.log(np.exp(exact / 2).sum(1))
        np.testing.assert_allclose(batch["teacher_log_z"][:, 0], log_z, atol=1e-5)


def test_temperature_2_is_exact_where_its_log_z_is_stored(pipe):
    plan = whole_plan(pipe, "planes")
    batch = pipe.client.step(
        plan.id, 0, 0, layout="dense", dtype="float32", temperature=2, snapshot=plan.snapshots[0]
    )
    assert batch.target_sets["teacher"].temperature_exact
    exact = pipe.dump.logprobs / 2
    exact -= np.log(np.exp(exact).sum(1, keepdims=True))
    for row, sample in enumerate(pipe.dump.samples):
        n = sample.stop - sample.start
        ids, logprobs = batch["teacher_ids"][row, :n], batch["teacher_logprobs"][row, :n]
        sent = logprobs > -np.inf
        expected = np.take_along_axis(exact[sample], ids.astype(np.int64), 1)
        np.testing.assert_allclose(np.exp(logprobs[sent]), np.exp(expected[sent]), atol=5e-3)
        mass = np.where(sent, np.exp(logprobs), 0).sum(1)
        np.testing.assert_allclose(batch["teacher_rest"][row, :n], 1 - mass, atol=1e-5)


@pytest.mark.parametrize("name", BUILDS)
def test_targets_are_best_aligned_at_shift_0(pipe, name):
    batch = stored_batch(pipe, name, "plain")
    tokens, mean = batch["tokens"], {}
    spread = (batch["teacher_rest"] / (V - np.diff(batch["teacher_offsets"])))[:-3]
    for shift in (-1, 0, 1):
        logprob = np.log(spread)
        for t in range(len(logprob)):
            first, last = batch["teacher_offsets"][t : t + 2]
            hit = np.flatnonzero(batch["teacher_ids"][first:last] == tokens[t + 1 + shift])
            if len(hit) > 0:
                logprob[t] = np.log(batch["teacher_probs"][first + hit[0]])
        mean[shift] = logprob.mean()
    assert mean[0] > mean[-1] + 2 and mean[0] > mean[1] + 2
    ends = batch["offsets"][1:] - 1
    assert not batch["mask"][ends].any() and batch["mask"].sum() == len(tokens) - len(ends)


@pytest.mark.parametrize("name", BUILDS)
def test_tokens_and_order_are_the_dumps(pipe, name):
    batch = stored_batch(pipe, name, "plain")
    np.testing.assert_array_equal(batch["tokens"], pipe.dump.tokens)
    assert batch["offsets"].tolist() == [0, *(sample.stop for sample in pipe.dump.samples)]
