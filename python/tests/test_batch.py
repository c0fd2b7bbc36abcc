"""Arrow replies become arrays of the documented shapes, or are refused."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
import wire

from logitcask import LogitcaskError, TruncatedReply, decode_frames
from logitcask._reply import read_batch


def parse(body, **echo):
    return read_batch(np.frombuffer(bytearray(body), np.uint8), echo)


def test_frames_become_joined_positions_and_entries():
    batch = parse(wire.step_reply())
    expected = decode_frames(wire.frames(), wire.V)
    assert (batch.rows, batch.layout, batch.vocabulary) == (3, "frames", wire.V)
    assert batch["offsets"].tolist() == [0, 3, 4, 4]
    assert batch["tokens"].tolist() == [5, 6, 7, 8] and batch["tokens"].dtype == np.int32
    assert batch["mask"].tolist() == [True, True, False, False]
    assert batch["pad"].tolist() == [False, False, True]
    assert [bytes(one) for one in batch["sample_id"]] == wire.sample_ids()
    assert batch["teacher_label_logprob"].dtype == np.float16
    assert batch["teacher_label_logprob"].tolist() == [-1, -1.5, -2, -1]
    assert batch["teacher_log_z"].tolist() == [[3], [3.5], [4], [3]]
    for name in ("offsets", "ids", "probs", "rest"):
        np.testing.assert_array_equal(batch[f"teacher_{name}"], getattr(expected, name))
    assert batch.meta == [{"row": 0}, {"row": 1}, {"row": 2}]
    assert batch.target_sets["teacher"].log_z == (2,)


def test_plain_levels_and_frames_give_the_same_arrays():
    frames = parse(wire.step_reply())
    plain = parse(wire.stream(wire.plain_columns(), layout="plain"))
    assert frames.arrays.keys() == plain.arrays.keys()
    for name, array in frames.arrays.items():
        np.testing.assert_array_equal(array, plain[name])
        assert array.dtype == plain[name].dtype


def unbiased_reply(**changes):
    columns = wire.plain_columns()
    del columns["teacher_rest"]
    levels = [[30, 0, 0], [2, 0, 0], []]
    columns["teacher_levels"] = pa.array(levels, wire.not_null(pa.uint16()))
    (one,) = json.loads(wire.metadata()["logitcask.target_sets"])
    sets = json.dumps([{**one, "kind": "unbiased", "step": 0.25, "tau": 0.0625, **changes}])
    return wire.stream(columns, layout="plain", target_sets=sets)


def test_plain_levels_of_unbiased_targets_are_read_with_step_and_tau():
    batch = parse(unbiased_reply())
    expected = np.float32([7.5**2, 0.0625, 0.0625, 0.25, 0.0625, 0.0625])
    np.testing.assert_array_equal(batch["teacher_probs"], expected)
    assert "teacher_rest" not in batch.arrays
    assert batch.target_sets["teacher"][6:8] == (0.25, 0.0625)


@pytest.mark.parametrize("missing", ["step", "tau"])
def test_unbiased_levels_without_step_or_tau_are_refused(missing):
    with pytest.raises(LogitcaskError, match="step, or without tau"):
        parse(unbiased_reply(**{missing: None}))


def test_plain_logprobs_give_probabilities():
    columns = wire.plain_columns()
    del columns["teacher_levels"]
    logprobs = [[-0.5, -1, -2], [-3, -4, -5], []]
    rest = [[0.1, 0.2, 1], [0.3], []]
    columns["teacher_logprobs"] = pa.array(logprobs, wire.not_null(pa.float32()))
    columns["teacher_rest"] = pa.array(rest, wire.not_null(pa.float32()))
    batch = parse(wire.stream(columns, layout="plain"))
    np.testing.assert_array_equal(
        batch["teacher_probs"], np.exp([-0.5, -1, -2, -3, -4, -5]).astype(np.float32)
    )
    np.testing.assert_array_equal(batch["teacher_rest"], np.float32([0.1, 0.2, 1, 0.3]))


def test_dense_columns_are_views_of_the_reply():
    columns = wire.dense_columns()
    body = np.frombuffer(bytearray(wire.stream(columns, layout="dense")), np.uint8)
    batch = read_batch(body, {})
    assert batch["teacher_ids"].shape == (3, 3, 2)
    assert batch["teacher_logprobs"].dtype == np.float16
    assert batch["mask"].shape == (3, 3)
    for name in ("tokens", "teacher_ids", "teacher_logprobs", "teacher_rest", "length"):
        assert np.shares_memory(batch[name], body) and batch[name].flags.writeable
        assert batch[name].tolist() == columns[name].to_pylist()


@pytest.mark.parametrize("layout", ["frames", "plain", "dense"])
def test_a_batch_may_have_no_rows(layout):
    columns = {"frames": wire.frames_columns, "plain": wire.plain_columns}.get(
        layout, wire.dense_columns
    )()
    empty = {name: column.slice(0, 0) for name, column in columns.items()}
    batch = parse(wire.stream(empty, layout=layout, rows="0"))
    assert batch.rows == 0 and len(batch["sample_id"]) == 0
    assert batch["teacher_ids"].shape == ((0, 3, 2) if layout == "dense" else (0,))


def test_torch_tensors_equal_the_arrays():
    batch = parse(wire.stream(wire.dense_columns(), layout="dense"))
    tensors = batch.torch()
    for name, array in batch.arrays.items():
        np.testing.assert_array_equal(tensors[name].numpy(), array)
    assert tensors["teacher_ids"].data_ptr() == batch["teacher_ids"].ctypes.data
    frames = parse(wire.step_reply()).torch()
    assert frames["teacher_ids"].dtype == torch.int32
    assert frames["teacher_probs"].dtype == torch.float32


def boundaries(body):
    """Ends of the messages in an Arrow stream, the end marker left out."""
    ends = []
    reader = pa.BufferReader(body)
    for _ in range(2):
        pa.ipc.read_message(reader)
        ends.append(reader.tell())
    return ends


def test_a_stream_cut_at_every_byte_is_refused_as_truncated():
    body = wire.step_reply()
    whole = boundaries(body)[1]
    for length in range(whole):
        with pytest.raises(TruncatedReply):
            parse(body[:length])
    parse(body[:whole])  # only the end marker is missing: all that was announced is here


def test_a_clean_early_end_at_a_message_boundary_is_refused():
    body = wire.step_reply()
    early = body[: boundaries(body)[0]] + b"\xff\xff\xff\xff\0\0\0\0"
    assert len(list(pa.ipc.open_stream(early))) == 0  # any Arrow reader takes it as complete
    with pytest.raises(TruncatedReply, match="rows and batches"):
        parse(early)


@pytest.mark.parametrize("changes", [{"rows": "4"}, {"batches": "2"}, {"rows": None}])
def test_rows_and_batches_must_be_those_announced(changes):
    with pytest.raises(TruncatedReply):
        parse(wire.step_reply(**changes))


def test_a_reply_of_several_batches_is_refused():
    with pytest.raises(LogitcaskError, match="record batches"):
        parse(wire.stream(wire.frames_columns(), count=2, rows="6", batches="2"))


@pytest.mark.parametrize("key", ["plan", "epoch", "step", "rank", "world", "layout", "snapshot"])
def test_a_reply_to_another_request_is_refused(key):
    good = {key: wire.metadata()[f"logitcask.{key}"]}
    parse(wire.step_reply(), **good)
    for changes in ({key: "9"}, {key: None}):
        with pytest.raises(LogitcaskError, match="another request"):
            parse(wire.step_reply(**changes), **good)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "2"},
        {"alignment": "predicts-own"},
        {"label_space": "{}"},
        {"label_space": None},
        {"target_sets": "[{}]"},
        {"target_sets": "]"},
    ],
)
def test_metadata_that_this_version_cannot_read_is_refused(changes):
    with pytest.raises(LogitcaskError) as caught:
        parse(wire.step_reply(**changes))
    assert caught.value.code == "reply-invalid"


def with_column(name, column, base=wire.frames_columns):
    return {**base(), name: column}


@pytest.mark.parametrize(
    "columns",
    [
        with_column("mask", pa.array([[True], [True], []], wire.not_null(pa.bool_()))),
        with_column("teacher_log_z", pa.array([[1, 2], [3], []], wire.not_null(pa.float32()))),
        with_column("sample_id", pa.array([None, b"1" * 16, b"2" * 16], pa.binary(16))),
        {name: column for name, column in wire.frames_columns().items() if name != "mask"},
        {name: column for name, column in wire.frames_columns().items() if name != "teacher_frame"},
    ],
    ids=["short mask", "short log_z", "null", "no mask", "no frames"],
)
def test_columns_that_contradict_each_other_are_refused(columns):
    schema = pa.schema([(name, column.type) for name, column in columns.items()], wire.metadata())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(list(columns.values()), schema=schema))
    with pytest.raises(LogitcaskError) as caught:
        parse(sink.getvalue().to_pybytes())
    assert caught.value.code == "reply-invalid"


@pytest.mark.parametrize(
    "column",
    [
        ("sample_id", pa.array([None, b"1" * 16, b"2" * 16], pa.binary(16))),
        ("teacher_frame", pa.array([b"0" * 16, None, None])),
        ("tokens", pa.array([[1, None], [2], []], pa.list_(pa.int32()))),
    ],
    ids=["fixed", "list", "in a list"],
)
def test_nulls_are_refused_as_such(column):
    columns = with_column(*column)
    body = wire.stream(columns, nullable=True)
    with pytest.raises(LogitcaskError, match="nulls"):
        parse(body)


def test_a_column_that_nobody_reads_may_have_any_number_of_buffers():
    for texts in (["a", "b", "c"], ["a" * 40_000, "b" * 50_000, "c"], ["a" * 40, "b", "c"]):
        columns = {"view": pa.array(texts, pa.string_view()), **wire.frames_columns()}
        assert parse(wire.stream(columns)).rows == 3


@pytest.mark.parametrize(("name", "value"), [("length", -1), ("length", 4), ("teacher_ids", -1)])
def test_dense_lengths_and_ids_outside_their_bounds_are_refused(name, value):
    columns = wire.dense_columns()
    values = columns[name].to_pylist()
    if name == "length":
        values[0] = value
    else:
        values[0][0][0] = value
    columns[name] = pa.array(values, columns[name].type)
    with pytest.raises(LogitcaskError, match="lengths" if name == "length" else "batch: ids"):
        parse(wire.stream(columns, layout="dense"))


def test_a_frame_of_another_sample_is_refused():
    first, second, third = wire.frames()
    with pytest.raises(LogitcaskError, match="numbers of positions"):
        parse(wire.stream(wire.frames_columns([second, first, third])))


def swapped(column, value):
    """The column with another first value."""
    if pa.types.is_fixed_size_binary(column.type):
        return pa.array([value, *column.to_pylist()[1:]], column.type)
    first, *others = column.to_pylist()
    return pa.array([[value, *first[1:]], *others], column.type)


@pytest.mark.parametrize("layout", ["frames", "plain", "dense"])
@pytest.mark.parametrize(
    ("name", "value"), [("tokens", 9), ("mask", False), ("sample_id", 16 * b"x")]
)
def test_tokens_and_mask_are_those_of_the_sample_id(layout, name, value):
    columns = getattr(wire, f"{layout}_columns")()
    value = not columns["mask"].to_pylist()[0][0] if name == "mask" else value
    columns[name] = swapped(columns[name], value)
    with pytest.raises(LogitcaskError, match="not those of its sample id") as caught:
        parse(wire.stream(columns, layout=layout))
    assert caught.value.retryable


def test_ids_of_another_label_space_are_refused():
    with pytest.raises(LogitcaskError, match="not those of its sample id"):
        parse(wire.step_reply(label_space=json.dumps({**wire.LABEL_SPACE, "tokenizer": "other"})))


def test_a_damaged_frame_is_refused():
    damaged = wire.frames()
    damaged[1] = damaged[1][:-1] + bytes([damaged[1][-1] ^ 1])
    with pytest.raises(LogitcaskError, match="checksum"):
        parse(wire.stream(wire.frames_columns(damaged)))


@pytest.mark.parametrize("layout", ["frames", "plain", "dense"])
def test_ids_outside_the_label_space_are_refused(layout):
    columns = {"frames": wire.frames_columns, "plain": wire.plain_columns}.get(
        layout, wire.dense_columns
    )()
    with pytest.raises(LogitcaskError, match="ids"):
        parse(wire.stream(columns, layout=layout, label_space=json.dumps({"size": 2})))


def test_bit_flips_anywhere_never_crash_the_reader():
    body = wire.step_reply()
    rng = np.random.default_rng(4)
    for _ in range(2000):
        flipped = bytearray(body)
        flipped[rng.integers(len(body))] ^= 1 << int(rng.integers(8))
        try:
            batch = parse(flipped)
        except LogitcaskError:
            continue
        assert batch.rows == 3
