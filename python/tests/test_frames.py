"""Frames decode to what docs/format.md says, bit for bit, and anything damaged is refused."""

import math
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from frame_encoder import encode_frame, planes, random_positions

from logitcask import LogitcaskError, decode_frame, decode_frames, frames

pytestmark = pytest.mark.usefixtures("each_decoder")

VOCABULARY = {2: 60_000, 3: 16_000_000, 4: 4_294_967_296}


def expected_scaled(positions, rest):
    """The formulas in Python's own integers and floats, position by position."""
    probs, masses = [], []
    for entries, stored in zip(positions, rest):
        mass = np.float32(math.exp(-stored / 2048)) if entries else np.float32(1)
        total = sum(level * level for _, level in entries)
        probs += [float(level * level) * ((1 - float(mass)) / total) for _, level in entries]
        masses.append(mass)
    return np.array(probs, np.float64).astype(np.float32), np.array(masses, np.float32)


def flat(positions, part):
    return [entry[part] for entries in positions for entry in entries]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("id_planes", [2, 3, 4])
@pytest.mark.parametrize("count_width", [1, 2, 4])
def test_scaled_frames_follow_the_formulas(compression, id_planes, count_width):
    rng = np.random.default_rng([id_planes, count_width])
    vocabulary = VOCABULARY[id_planes]
    for n in (1, 2, 7, 40):
        positions = random_positions(rng, n=n, vocabulary=vocabulary, entries_max=20)
        rest = rng.integers(0, 65_536, n)
        frame = encode_frame(
            positions,
            rest=rest,
            compression=compression,
            count_width=count_width,
            id_planes=id_planes,
        )
        got = decode_frame(frame, vocabulary)
        probs, masses = expected_scaled(positions, rest)
        assert got.kind == "scaled"
        assert got.offsets.tolist() == [0, *np.cumsum([len(p) for p in positions])]
        assert got.ids.dtype == np.uint32 and got.ids.tolist() == flat(positions, 0)
        assert got.levels.tolist() == flat(positions, 1)
        np.testing.assert_array_equal(got.probs.view(np.uint32), probs.view(np.uint32))
        np.testing.assert_array_equal(got.rest.view(np.uint32), masses.view(np.uint32))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_unbiased_frames_give_tau_at_level_0_and_a_squared_step_above(compression):
    rng = np.random.default_rng(1)
    positions = random_positions(rng, n=30, vocabulary=5000, entries_max=12, level_min=0)
    positions[3] = [(0, 0), (4999, 0)]
    frame = encode_frame(positions, kind="unbiased", step=0.01, tau=0.05, compression=compression)
    got = decode_frame(frame, 5000)
    step, tau = float(np.float32(0.01)), np.float32(0.05)
    levels = flat(positions, 1)
    expected = [
        tau if level == 0 else np.float32((level * step) * (level * step)) for level in levels
    ]
    assert got.kind == "unbiased" and len(got.rest) == 0
    assert got.ids.tolist() == flat(positions, 0)
    np.testing.assert_array_equal(got.probs, np.array(expected, np.float32))


def test_rest_masses_are_the_float32_of_float64_exponentials():
    # the same number is what the server's own table gives
    assert zlib.crc32(frames.REST_MASS.astype("<f4").tobytes()) == 1_726_725_248


def test_more_than_255_entries_need_wider_counts():
    positions = [[(i, i + 1) for i in range(300)], [], [(7, 9)]]
    got = decode_frame(encode_frame(positions, count_width=2), 300)
    assert np.diff(got.offsets).tolist() == [300, 0, 1]


@pytest.mark.parametrize("kind", ["scaled", "unbiased"])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_frames_without_entries(kind, compression, n):
    got = decode_frame(
        encode_frame([[]] * n, kind=kind, rest=[77] * n, compression=compression), 10
    )
    assert got.offsets.tolist() == [0] * (n + 1)
    assert len(got.ids) == len(got.probs) == 0
    assert got.rest.tolist() == ([1.0] * n if kind == "scaled" else [])


@pytest.mark.parametrize("run_entries", [1, 10, 65_536])
def test_many_frames_at_once_equal_one_by_one(run_entries, monkeypatch):
    monkeypatch.setattr(frames, "RUN_ENTRIES", dict.fromkeys(frames.RUN_ENTRIES, run_entries))
    rng = np.random.default_rng(2)
    all_positions = [
        random_positions(rng, n=n, vocabulary=60_000, entries_max=9) for n in (3, 0, 1, 8, 2)
    ]
    encoded = [encode_frame(positions, rest=range(len(positions))) for positions in all_positions]
    together = decode_frames(encoded, 60_000, np.array([3, 0, 1, 8, 2]))
    single = [decode_frame(frame, 60_000) for frame in encoded]
    for name in ("ids", "probs", "rest", "levels"):
        expected = np.concatenate([getattr(one, name) for one in single])
        np.testing.assert_array_equal(getattr(together, name), expected)
    counts = np.concatenate([np.diff(one.offsets) for one in single])
    assert np.diff(together.offsets).tolist() == counts.tolist()


def test_no_frames_are_no_positions():
    got = decode_frames([], 10)
    assert got.offsets.tolist() == [0] and len(got.ids) == 0


def test_unbiased_frames_may_differ_in_step():
    encoded = [encode_frame([[(1, 2)]], kind="unbiased", step=step, tau=0.5) for step in (0.1, 0.2)]
    probs = decode_frames(encoded, 10).probs
    np.testing.assert_allclose(probs, [0.04, 0.16], rtol=1e-6)


def test_another_number_of_positions_is_refused():
    with pytest.raises(LogitcaskError, match="numbers of positions"):
        decode_frames([encode_frame([[(1, 2)], []])], 10, np.array([3]))


def test_kinds_do_not_mix():
    with pytest.raises(LogitcaskError, match="differ in kind"):
        decode_frames([encode_frame([]), encode_frame([], kind="unbiased", tau=0.1)], 10)


def test_planes_hold_low_bytes_first():
    assert planes([0x030201, 0x0A0B0C], 3) == bytes([1, 0x0C, 2, 0x0B, 3, 0x0A])


@pytest.mark.parametrize("kind", ["scaled", "unbiased"])
@pytest.mark.parametrize(
    "positions", [slice(3, 9), slice(None, None, -2), [], [11], [5, 0, 5], np.array([7, 2])]
)
def test_positions_alone_are_what_the_whole_frame_holds_there(kind, positions):
    rng = np.random.default_rng(4)
    stored = random_positions(rng, n=12, vocabulary=900, entries_max=9)
    frame = encode_frame(stored, kind=kind, rest=range(500, 512), tau=0.25)
    whole, part = decode_frame(frame, 900), decode_frame(frame, 900, positions)
    chosen = np.arange(12)[positions]
    assert len(part.offsets) == len(chosen) + 1
    for k, t in enumerate(chosen):
        ours, theirs = (
            slice(targets.offsets[at], targets.offsets[at + 1])
            for targets, at in ((part, k), (whole, t))
        )
        for name in ("ids", "probs", "levels"):
            expected = getattr(whole, name)[theirs]
            np.testing.assert_array_equal(getattr(part, name)[ours], expected)
    if kind == "scaled":
        np.testing.assert_array_equal(part.rest, whole.rest[chosen])


@pytest.mark.parametrize("positions", [[12], [-1], [0, 12]])
def test_positions_that_a_frame_does_not_have_are_refused(positions):
    with pytest.raises(LogitcaskError, match="no such position") as caught:
        decode_frame(encode_frame([[]] * 12), 10, positions)
    assert caught.value.code == "request-invalid"


def test_tensors_share_memory_with_the_arrays():
    targets = decode_frame(encode_frame([[(1, 2), (70_000, 3)]], id_planes=3), 80_000)
    tensors = targets.torch()
    assert [tensors.ids.dtype, tensors.probs.dtype] == [torch.int32, torch.float32]
    assert tensors.ids.tolist() == [1, 70_000] and tensors.offsets.tolist() == [0, 2]
    targets.ids[0], targets.probs[1] = 9, 0.5
    assert tensors.ids.tolist() == [9, 70_000] and tensors.probs[1] == 0.5


def test_integers_beyond_the_signed_ones_are_copied_to_wider_tensors():
    frame = encode_frame([[(5, 40_000), (2**32 - 2, 1)]], id_planes=4)
    tensors = decode_frame(frame, 2**32 - 1).torch()
    assert tensors.ids.tolist() == [5, 2**32 - 2] and tensors.levels.tolist() == [40_000, 1]


def test_torch_is_not_imported_unless_asked_for():
    code = "import sys, logitcask; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
