"""The compiled decoder against numpy: the same bits, the same refusals, and memory of its own."""

import multiprocessing
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from frame_encoder import encode_frame, random_positions

from logitcask import LogitcaskError, _kernel, decode_frame, decode_frames, decoder

V = 60_000


def random_frames(seed, lengths, kind="scaled", entries_max=70):
    rng = np.random.default_rng(seed)
    return [
        encode_frame(
            random_positions(rng, n=n, vocabulary=V, entries_max=entries_max),
            kind=kind,
            rest=rng.integers(0, 65_536, n),
            tau=0.1,
        )
        for n in lengths
    ]


def assert_same(ours, theirs):
    assert ours.kind == theirs.kind
    for one, other in zip(ours[1:], theirs[1:]):
        assert one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.fixture
def by_numpy(monkeypatch):
    """Decodes with numpy what a function decodes."""

    def run(function):
        with monkeypatch.context() as patch:
            patch.setattr(_kernel, "installed", lambda: False)
            assert decoder() == "numpy"
            return function()

    return run


@pytest.mark.parametrize("kind", ["scaled", "unbiased"])
@pytest.mark.parametrize("lengths", [[0], [1], [40, 0, 3, 200], [900, 900, 900], [5] * 50])
def test_frames_are_the_same(kind, lengths, by_numpy):
    encoded = random_frames(len(lengths), lengths, kind)
    assert_same(decode_frames(encoded, V), by_numpy(lambda: decode_frames(encoded, V)))


@pytest.mark.parametrize("positions", [slice(3, 90), slice(None, None, -7), [], [5, 0, 5]])
def test_positions_are_the_same(positions, by_numpy):
    (frame,) = random_frames(1, [99])
    ours = decode_frame(frame, V, positions)
    assert_same(ours, by_numpy(lambda: decode_frame(frame, V, positions)))


def test_a_refusal_is_said_by_numpy_wherever_in_a_run_it_is(by_numpy):
    encoded = random_frames(2, [5, 6])
    encoded.insert(1, encode_frame([[(5, 1), (5, 1)]]))
    with pytest.raises(LogitcaskError, match="do not ascend") as ours:
        decode_frames(encoded, V)
    with pytest.raises(LogitcaskError) as theirs:
        by_numpy(lambda: decode_frames(encoded, V))
    assert (ours.value.detail, ours.value.got) == (theirs.value.detail, theirs.value.got)


def test_what_takes_more_memory_than_is_kept_is_decoded_by_numpy(by_numpy, monkeypatch):
    encoded = random_frames(3, [900])
    whole = by_numpy(lambda: decode_frames(encoded, V))
    monkeypatch.setattr(_kernel, "BYTES_MAX", 600_000)
    monkeypatch.setattr(_kernel, "_idle", deque())
    assert decoder() == "wasmtime"
    assert_same(decode_frames(encoded, V), whole)


def test_threads_have_instances_of_their_own(by_numpy):
    encoded = [random_frames(seed, [50, 60]) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        ours = list(pool.map(lambda frames: decode_frames(frames, V), encoded))
    for frames, targets in zip(encoded, ours):
        assert_same(targets, by_numpy(lambda frames=frames: decode_frames(frames, V)))


def test_an_instance_is_used_again_by_other_threads(monkeypatch):
    monkeypatch.setattr(_kernel, "_idle", deque())
    encoded = random_frames(5, [20])
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(decode_frames, encoded, V).result()
    assert len(_kernel._idle) == 1


def lent_free(monkeypatch):
    monkeypatch.setattr(_kernel, "_idle", deque())
    monkeypatch.setattr(_kernel, "_lent", {})


def test_what_was_decoded_stays_while_others_are_decoded(by_numpy, monkeypatch):
    lent_free(monkeypatch)
    encoded = [random_frames(seed, [30, 40]) for seed in range(2 * _kernel.LENT_MAX)]
    held = [decode_frames(frames, V) for frames in encoded]
    assert len(_kernel._lent) == _kernel.LENT_MAX
    for frames, targets in zip(encoded, held):
        assert_same(targets, by_numpy(lambda frames=frames: decode_frames(frames, V)))


def test_an_instance_comes_back_with_the_last_view_of_any_kind(monkeypatch):
    lent_free(monkeypatch)
    targets = decode_frames(random_frames(5, [20]), V)
    few, tensor = targets.ids[3:5].reshape(1, 2), torch.from_numpy(targets.probs)
    expected = few.copy(), tensor.clone()
    del targets
    assert len(_kernel._lent) == 1 and not _kernel._idle
    decode_frames(random_frames(6, [20]), V)
    assert np.array_equal(few, expected[0]) and torch.equal(tensor, expected[1])
    assert (len(_kernel._lent), len(_kernel._idle)) == (1, 1)
    del few
    assert len(_kernel._lent) == 1
    del tensor
    assert (len(_kernel._lent), len(_kernel._idle)) == (0, 2)


def test_a_refusal_lends_nothing(monkeypatch):
    lent_free(monkeypatch)
    with pytest.raises(LogitcaskError, match="do not ascend"):
        decode_frames([encode_frame([[(5, 1), (5, 1)]])], V)
    assert (len(_kernel._lent), len(_kernel._idle)) == (0, 1)


@pytest.mark.parametrize("kind", ["scaled", "unbiased"])
def test_levels_are_left_out_where_nobody_wants_them(kind, by_numpy):
    encoded = random_frames(7, [20, 30], kind)
    whole = decode_frames(encoded, V)
    for decode in (lambda run: run(), by_numpy):
        few = decode(lambda: decode_frames(encoded, V, levels=False))
        assert_same(few, whole._replace(levels=np.empty(0, np.uint16)))


def test_a_process_ends_with_batches_in_its_hands():
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_kernel import V, decode_frames, random_frames
held = [decode_frames(random_frames(seed, [9]), V) for seed in range(3)]
kept = held[0].ids
"""
    reply = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (reply.stdout, reply.stderr) == ("", "")


def decode_to(queue, frames):
    queue.put(decode_frames(frames, V).probs.tobytes())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_decodes():
    encoded = random_frames(4, [30])
    expected = decode_frames(encoded, V).probs.tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=decode_to, args=(queue, encoded))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert queue.get() == expected


def test_without_wasmtime_numpy_decodes():
    code = (
        "import sys; sys.modules['wasmtime'] = None\nimport logitcask; print(logitcask.decoder())"
    )
    reply = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert reply.stdout == "numpy\n"
