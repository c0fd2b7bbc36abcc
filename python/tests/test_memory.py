"""Large memory is used again after its last view, never before, and is not kept without end."""

import gc
from collections import deque

import numpy as np
import pytest

from logitcask import _memory

MIB = 1 << 20


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(_memory, "_idle", deque())


def address(array):
    return array.ctypes.data


def test_memory_is_used_again_once_no_view_of_any_kind_is_left():
    array = _memory.take(3 * MIB)
    at = address(array)
    views = [array[5:].view(np.uint8)[1:], memoryview(array)[7:], array[: 2 * MIB].view(np.int32)]
    torch = pytest.importorskip("torch")
    views.append(torch.from_numpy(array[MIB:])[3:])
    del array
    while views:
        gc.collect()
        assert address(_memory.take(3 * MIB)) != at
        views.pop()
    assert at in map(address, _memory._idle)


def test_small_memory_and_memory_of_another_size_is_not_kept_for_it():
    assert _memory.take(100).base is None
    other = address(_memory.take(40 * MIB))
    assert len(_memory._idle) == 1
    assert address(_memory.take(MIB)) != other


def test_what_is_kept_is_bounded():
    held = [_memory.take(MIB) for _ in range(50)]
    del held
    assert len(_memory._idle) == _memory.IDLE_MAX
    held = [_memory.take(_memory.IDLE_BYTES_MAX // 2 + 1) for _ in range(2)]
    del held
    assert sum(map(len, _memory._idle)) <= _memory.IDLE_BYTES_MAX
