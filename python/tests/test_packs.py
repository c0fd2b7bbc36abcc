"""Rows of packs: every position's target stays with its token, and never meets another document."""

import numpy as np
import pack_wire
import pytest
import torch
import wire

from logitcask import LogitcaskError, decode_frames, order_digest, record_line
from logitcask._reply import read_batch


def read(body):
    return read_batch(np.frombuffer(bytearray(body), np.uint8), {})


def case(seed, layout="frames"):
    rng = np.random.default_rng(seed)
    samples = pack_wire.make_samples(rng, rng.integers(1, 40, rng.integers(1, 12)))
    length = int(rng.integers(4, 32))
    rows = pack_wire.place(rng, samples, length)
    pads = [row["pack"] > 0 and row["pack"] == rows[-1]["pack"] and seed % 3 == 0 for row in rows]
    return samples, rows, pads, length, read(pack_wire.reply(samples, rows, pads, length, layout))


def entries(batch, at):
    """Ids and probabilities of a flat position."""
    first, last = batch["teacher_offsets"][at : at + 2]
    return batch["teacher_ids"][first:last].tolist(), batch["teacher_probs"][first:last].tolist()


@pytest.mark.parametrize("seed", range(60))
def test_targets_stay_aligned_at_every_position(seed):
    samples, rows, pads, length, batch = case(seed, "frames" if seed % 2 else "plain")
    packs = batch.packs()
    shape = (rows[-1]["pack"] + 1, length)
    assert (packs.rows, packs.layout) == (shape[0], "packs")
    for name in ("tokens", "mask", "document_ids", "position_ids"):
        assert packs[name].shape == shape
    assert packs["offsets"].tolist() == [p * length for p in range(shape[0] + 1)]
    free = np.ones(shape, bool)
    documents = np.zeros(shape[0], int)
    for row, pad in zip(rows, pads):
        one = samples[row["sample"]]
        decoded = decode_frames([pack_wire.encode_frame(one["targets"], rest=one["rest"])], wire.V)
        documents[row["pack"]] += 1
        for t in range(row["n"]):
            p, q, source = row["pack"], row["offset"] + t, row["first"] + t
            at = p * length + q
            free[p, q] = False
            assert packs["tokens"][p, q] == one["tokens"][source]
            assert packs["document_ids"][p, q] == documents[p] and packs["position_ids"][p, q] == t
            first, last = decoded.offsets[source : source + 2]
            ids, probs = entries(packs, at)
            assert ids == decoded.ids[first:last].tolist()
            assert probs == decoded.probs[first:last].tolist()
            assert packs["teacher_rest"][at] == decoded.rest[source]
            assert packs["teacher_label_logprob"][at] == one["label_logprob"][source]
            assert packs["teacher_log_z"][at].tolist() == [one["log_z"][source]]
            seam = t == row["n"] - 1 and source + 1 < len(one["tokens"])
            assert packs["mask"][p, q] == (one["mask"][source] and not seam and not pad)
            if packs["mask"][p, q]:  # the label of what is learned is of the same document
                assert packs["tokens"][p, q + 1] == one["tokens"][source + 1]
                assert packs["document_ids"][p, q + 1] == documents[p]
    assert not packs["document_ids"][free].any() and not packs["mask"][free].any()
    flat = free.ravel()
    assert not np.diff(packs["teacher_offsets"])[flat].any()
    assert (packs["teacher_rest"][flat] == 1).all()
    assert np.isnan(packs["teacher_label_logprob"][flat]).all()


@pytest.mark.parametrize("seed", range(20))
def test_dense_packs_hold_the_same_positions(seed):
    _, rows, _, length, batch = case(seed, "dense")
    packs = batch.packs()
    shape = (rows[-1]["pack"] + 1, length)
    ragged = case(seed, "plain")[-1].packs()
    assert packs.layout == "dense" and packs["length"].tolist() == [length] * shape[0]
    for name in ("tokens", "mask", "document_ids", "position_ids"):
        np.testing.assert_array_equal(packs[name], ragged[name])
    kept = packs["teacher_logprobs"] > -np.inf
    np.testing.assert_array_equal(kept.sum(2).ravel(), np.diff(ragged["teacher_offsets"]))
    np.testing.assert_array_equal(packs["teacher_ids"][kept], ragged["teacher_ids"])
    free = packs["document_ids"] == 0
    assert (packs["teacher_rest"][free] == 1).all()
    assert np.isnan(packs["teacher_label_logprob"][free]).all()


def test_tensors_of_packs_equal_the_arrays():
    batch = case(5)[-1]
    arrays, tensors = batch.packs(), batch.torch().packs()
    for name, array in arrays.arrays.items():
        assert isinstance(tensors[name], torch.Tensor)
        np.testing.assert_array_equal(tensors[name].numpy().astype(array.dtype), array)


def test_packs_without_rows():
    batch = read(pack_wire.reply([], [], [], 16))
    packs = batch.packs()
    assert packs.rows == 0 and packs["tokens"].shape == (0, 16)
    assert packs["teacher_offsets"].tolist() == [0]


def test_a_record_says_which_part_of_a_sample_a_row_holds():
    samples, rows, pads, _, batch = case(6)
    line = record_line(batch)
    kept = [row for row, pad in zip(rows, pads) if not pad]
    assert 0 < len(kept) < len(rows)
    assert line["parts"] == [[row["first"], row["n"]] for row in kept]
    assert line["ids"] == [samples[row["sample"]]["id"].hex() for row in kept]
    assert order_digest([line]) == order_digest([batch]) != order_digest([{**line, "parts": None}])


def changed(name, value):
    samples, rows, pads, length, _ = case(7)
    row = next(i for i, one in enumerate(rows) if one["pack"] > 0)
    rows[row] = {**rows[row], name: value}
    return read(pack_wire.reply(samples, rows, pads, length))


@pytest.mark.parametrize(("name", "value"), [("pack", 99), ("offset", 32), ("offset", -1)])
def test_rows_that_lie_outside_or_on_each_other_are_refused(name, value):
    with pytest.raises(LogitcaskError, match="one behind the other"):
        changed(name, value).packs()


@pytest.mark.parametrize("first", [-1, 99])
def test_rows_outside_their_sample_are_refused(first):
    samples, rows, pads, length, _ = case(7)
    body = pack_wire.reply(samples, rows, pads, length)
    columns = pack_wire.columns(samples, rows, pads, "frames")
    parts = columns["first_position"].to_numpy().copy()
    parts[1] = first
    columns["first_position"] = pack_wire.pa.array(parts)
    metadata = {"rows": str(len(rows)), "pack_length": str(length)}
    read(body)
    with pytest.raises(LogitcaskError, match="outside their samples"):
        read(wire.stream(columns, **metadata))


def test_a_frame_of_another_sample_is_refused():
    rng = np.random.default_rng(0)
    samples = pack_wire.make_samples(rng, [10, 7])
    rows = [
        {"sample": 0, "pack": 0, "offset": 0, "first": 0, "n": 6},
        {"sample": 0, "pack": 1, "offset": 0, "first": 6, "n": 4},
        {"sample": 1, "pack": 1, "offset": 4, "first": 0, "n": 7},
    ]
    columns = pack_wire.columns(samples, rows, 3 * [False], "frames")
    frames = columns["teacher_frame"].to_pylist()
    for order in ([2, 1, 0], [0, 2, 2], [1, 0, 1]):
        columns["teacher_frame"] = pack_wire.pa.array([frames[i] for i in order], "binary")
        with pytest.raises(LogitcaskError, match="number"):
            read(wire.stream(columns, rows="3", pack_length="16"))


def test_samples_that_are_not_packed_are_not_laid_into_packs():
    with pytest.raises(LogitcaskError, match="request-invalid"):
        read(wire.step_reply()).packs()


@pytest.mark.parametrize("seed", range(10))
def test_inputs_of_models_have_labels_of_their_own_document(seed):
    packs = case(seed)[-1].packs()
    inputs = packs.model_inputs()
    assert set(inputs) == {"input_ids", "labels", "position_ids"}
    np.testing.assert_array_equal(inputs["input_ids"], packs["tokens"])
    np.testing.assert_array_equal(inputs["position_ids"], packs["position_ids"])
    mask = packs["mask"]
    np.testing.assert_array_equal(inputs["labels"][:, 1:] != -100, mask[:, :-1])
    np.testing.assert_array_equal(
        inputs["labels"][:, 1:][mask[:, :-1]], packs["tokens"][:, 1:][mask[:, :-1]]
    )
    assert (inputs["labels"][:, 0] == -100).all()


def test_inputs_of_models_are_padded_and_not_shifted():
    batch = read(wire.step_reply())
    inputs = batch.model_inputs(pad_token=9)
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9], [9, 9, 9]]
    assert inputs["labels"].tolist() == [[-100, 6, 7], 3 * [-100], 3 * [-100]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert inputs["position_ids"].tolist() == 3 * [[0, 1, 2]]
    wide = batch.torch().model_inputs(pad_to=5)
    assert wide["labels"].shape == (3, 5) and wide["labels"].dtype == torch.int64
    with pytest.raises(LogitcaskError, match="longer than pad_to"):
        batch.model_inputs(pad_to=2)
    dense = read(wire.stream(wire.dense_columns(), layout="dense"))
    inputs = dense.model_inputs()
    assert inputs["attention_mask"].sum(1).tolist() == [3, 1, 0]
    with pytest.raises(LogitcaskError, match="ask the server"):
        dense.model_inputs(pad_to=9)
    with pytest.raises(LogitcaskError, match="after packs"):
        case(5)[-1].model_inputs()
