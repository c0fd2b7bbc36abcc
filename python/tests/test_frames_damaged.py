"""Anything damaged or untrue in a frame is refused; nothing is decompressed that need not be."""

import math
import struct

import numpy as np
import pyarrow as pa
import pytest
from frame_encoder import encode_frame, random_positions, raw_block, seal

from logitcask import LogitcaskError, _frame, decode_frame

pytestmark = pytest.mark.usefixtures("each_decoder")


def refused(frame, vocabulary=60_000):
    with pytest.raises(LogitcaskError) as caught:
        decode_frame(frame, vocabulary)
    assert caught.value.code == "frame-damaged"
    return caught.value.detail


SMALL = {
    f"{kind}-{compression}": encode_frame(
        [[(3, 200), (700, 65_000)], [], [(9, 4)]],
        kind=kind,
        rest=[4000, 0, 1],
        compression=compression,
    )
    for kind in ("scaled", "unbiased")
    for compression in ("zstd", "lz4")
}


@pytest.mark.parametrize("name", SMALL)
def test_every_single_bit_flip_is_refused(name):
    frame = SMALL[name]
    decode_frame(frame, 60_000)
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << (bit % 8)
        refused(bytes(flipped))


@pytest.mark.parametrize("name", SMALL)
def test_every_truncation_and_extension_is_refused(name):
    frame = SMALL[name]
    for length in range(len(frame)):
        refused(frame[:length])
    refused(frame + b"\0")


@pytest.mark.parametrize("name", SMALL)
def test_every_lie_in_the_header_is_refused_behind_a_right_checksum(name):
    """Any other byte in the header is an error or, for step and tau, another frame."""
    frame = SMALL[name]
    for at in range(36):
        if 20 <= at < 28:  # step and tau
            continue
        for value in range(256):
            if value == frame[at]:
                continue
            lie = bytearray(frame)
            lie[at] = value
            refused(seal(lie))


@pytest.mark.parametrize("value", [0.0, -0.003, 1.0, math.inf, math.nan])
def test_a_step_must_lie_between_0_and_1(value):
    lie = bytearray(SMALL["scaled-zstd"])
    struct.pack_into("<f", lie, 20, value)
    assert "step" in refused(seal(lie))


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan])
def test_tau_must_lie_between_0_and_1(value):
    lie = bytearray(SMALL["unbiased-lz4"])
    struct.pack_into("<f", lie, 24, value)
    assert "tau" in refused(seal(lie))


def test_random_damage_behind_a_right_checksum_never_gives_a_wrong_row():
    rng = np.random.default_rng(3)
    positions = random_positions(rng, n=20, vocabulary=500, entries_max=8)
    for compression in ("zstd", "lz4"):
        frame = encode_frame(positions, rest=[5000] * 20, compression=compression)
        for _ in range(1500):
            lie = bytearray(frame)
            for at in rng.integers(40, len(frame), 1 + rng.integers(3)):
                lie[at] = rng.integers(256)
            try:
                got = decode_frame(seal(lie), 500)
            except LogitcaskError as error:
                assert error.code == "frame-damaged"
                continue
            sums = np.add.reduceat(np.append(got.probs, 0), got.offsets[:-1])
            held = np.diff(got.offsets) > 0
            np.testing.assert_allclose(sums[held] + got.rest[held], 1, atol=1e-5)
            assert got.ids.max(initial=0) < 500


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize(
    ("positions", "vocabulary"),
    [
        ([[(5, 1), (5, 1)]], 60_000),  # an id twice
        ([[(5, 1)], [(60_000, 1)]], 60_000),  # V itself
        ([[(1, 1), (59_999, 1), (60_000, 1)]], 60_000),
        ([[(1, 0)]], 60_000),  # level 0 of a scaled target
    ],
)
def test_entries_that_contradict_the_format_are_refused(compression, positions, vocabulary):
    refused(encode_frame(positions, compression=compression), vocabulary)


def test_ids_that_wrap_around_32_bits_are_refused():
    # 2^32 - 1, then a delta of 4: 3 in 32 bits
    positions = [[(4_294_967_295, 1), (4_294_967_299, 1)]]
    refused(encode_frame(positions, id_planes=4), 4_294_967_296)


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (2, 1), (255, 255)])
def test_counts_must_add_up_to_the_entries(counts):
    raw = bytearray(raw_block([[(1, 1)], [(2, 1)]], "scaled", [0, 0], 1, 2))
    raw[0:2] = bytes(counts)
    frame = encode_frame([[(1, 1)], [(2, 1)]], raw=bytes(raw))
    assert "add up" in refused(frame)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("change", [-7, -1, 1, 100_000])
def test_a_block_that_gives_another_length_is_refused(compression, change):
    positions = [[(i, 1 + i % 3) for i in range(200)]]
    raw = raw_block(positions, "scaled", [0], 1, 2)
    wrong = raw[:change] if change < 0 else raw + bytes(change)
    frame = encode_frame(positions, raw=wrong, raw_bytes=len(raw), compression=compression)
    assert "block" in refused(frame)


class Untouchable:
    """Stands for a codec that must not be called."""

    name = "none"

    def decompress(self, *_args, **_kwargs):
        raise AssertionError("a damaged frame was decompressed")


@pytest.fixture
def no_decompression(monkeypatch):
    fake = {code: kept._replace(codec=Untouchable()) for code, kept in _frame.COMPRESSIONS.items()}
    monkeypatch.setattr(_frame, "COMPRESSIONS", fake)


@pytest.mark.parametrize("name", SMALL)
def test_the_checksum_is_compared_before_anything_is_decompressed(name, no_decompression):
    frame = bytearray(SMALL[name])
    frame[-1] ^= 1
    assert "checksum" in refused(bytes(frame))


@pytest.mark.parametrize(("compression", "ratio"), [("zstd", 32_768), ("lz4", 255)])
def test_a_length_that_no_block_can_give_is_refused_before_memory_is_taken(
    compression, ratio, no_decompression
):
    frame = bytearray(encode_frame([], kind="unbiased", compression=compression))
    n = ratio * (len(frame) - 40) + 1
    struct.pack_into("<I", frame, 12, n)
    struct.pack_into("<I", frame, 32, n)
    assert "cannot give" in refused(seal(frame))


@pytest.mark.parametrize("name", ["zstd", "lz4_raw"])
def test_real_bombs_stay_within_the_assumed_ratio(name):
    ratio = {code.codec.name: code.ratio_max for code in _frame.COMPRESSIONS.values()}[name]
    for size in (1 << 20, 1 << 24, 1 << 28):
        block = pa.Codec(name).compress(bytes(size), asbytes=True)
        assert size <= ratio * len(block)


def test_zstd_frames_are_walked_before_anything_is_decompressed():
    def frame(raw: bytes, head: bytes = b"\x00\x38") -> bytes:
        return b"\x28\xb5\x2f\xfd" + head + (len(raw) << 3 | 1).to_bytes(3, "little") + raw

    declaring = frame(b"abc", b"\x20\x03")
    _frame.check_zstd(memoryview(declaring), 3)
    _frame.check_zstd(memoryview(frame(b"ab") + frame(b"") + frame(b"c")), 3)
    for block, why in (
        (b"", "no ZSTD frame"),
        (frame(b"abc") + b"\x50\x2a\x4d\x18\0\0\0\0", "no ZSTD frame"),
        (frame(b"abc") + frame(b"")[:7], "cut short"),
        (frame(b"abc")[:-1], "cut short"),
        (declaring + frame(b""), "one declares 3"),
        (frame(b"") + declaring, "one declares 3"),
        (frame(b"abc", b"\x20\x04"), "one declares 4"),
        (frame(b"ab"), "too few"),
        (frame(b"abc") + frame(bytes(120_000)) * 70, "too many"),
    ):
        with pytest.raises(ValueError, match=why):
            _frame.check_zstd(memoryview(block), 3)
