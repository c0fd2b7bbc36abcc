"""Mutated frames: a right answer or ``frame-damaged``, and the same one as the server's decoder."""

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from frame_encoder import seal

from logitcask import LogitcaskError, decode_frame

pytestmark = pytest.mark.usefixtures("each_decoder")

CORPUS = Path(__file__).parents[2] / "test" / "golden" / "fuzz" / "frames.jsonl"


@pytest.fixture(scope="module")
def corpus():
    cases = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    return [{**case, "frame": base64.b64decode(case["frame"])} for case in cases]


def decoded(frame, vocabulary):
    """Targets, or None where the frame is refused as damaged; nothing else may happen."""
    try:
        return decode_frame(frame, vocabulary)
    except LogitcaskError as error:
        assert error.code == "frame-damaged"
        return None


def digest(targets):
    parts = (targets.offsets.astype("<u4"), targets.ids, targets.probs, targets.rest)
    return zlib.crc32(b"".join(part.tobytes() for part in parts))


def test_the_corpus_ends_as_recorded(corpus):
    assert {bool(case["digest"]) for case in corpus} == {True, False}
    for case in corpus:
        targets = decoded(case["frame"], case["width"])
        got = None if targets is None else digest(targets)
        assert got == case["digest"], case["about"]


def assert_sound(targets, vocabulary):
    n, m = len(targets.offsets) - 1, int(targets.offsets[-1])
    assert len(targets.ids) == len(targets.probs) == m
    assert int(targets.ids.max(initial=0)) < vocabulary
    inner = np.ones(m, bool)
    inner[targets.offsets[:-1][np.diff(targets.offsets) > 0]] = False
    assert (np.diff(targets.ids.astype(np.int64))[inner[1:]] > 0).all()
    assert (targets.probs >= 0).all()
    if targets.kind == "scaled":
        sums = np.add.reduceat(np.append(targets.probs, 0), targets.offsets[:-1]) if n else []
        held = np.diff(targets.offsets) > 0
        np.testing.assert_allclose((sums + targets.rest)[held], 1, atol=1e-4)


def test_mutations_of_the_corpus_give_a_sound_answer_or_are_refused(corpus):
    rng = np.random.default_rng(6)
    frames = [case for case in corpus if len(case["frame"]) >= 44]
    accepted = 0
    for _ in range(6000):
        case = frames[rng.integers(len(frames))]
        frame = bytearray(case["frame"])
        for at in rng.integers(5 if rng.random() < 0.3 else 40, len(frame), rng.integers(3)):
            frame[at] = rng.choice((0, 1, 127, 128, 255, rng.integers(256)))
        frame[28:32] = (len(frame) - 40).to_bytes(4, "little")
        targets = decoded(seal(frame), case["width"])
        if targets is not None:
            accepted += 1
            assert_sound(targets, case["width"])
    assert accepted > 500
