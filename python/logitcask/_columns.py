"""Arrow columns as numpy views of the receive buffer: no Python lists, no copies but of bitmaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from .errors import LogitcaskError, invalid_reply

#: pyarrow's own table of these imports pandas.
NUMBERS = {
    pa.int32(): np.int32,
    pa.uint16(): np.uint16,
    pa.uint8(): np.uint8,
    pa.uint32(): np.uint32,
    pa.uint64(): np.uint64,
    pa.float16(): np.float16,
    pa.float32(): np.float32,
}


class Lists(NamedTuple):
    """A list or binary column: row b holds values[offsets[b]:offsets[b + 1]]."""

    offsets: np.ndarray
    values: np.ndarray


class Columns:
    """The columns of a record batch, converted and checked when asked for.

    Args:
        batch: a record batch without nulls.
        body: uint8, what `batch` was read from; views of it are writable, where those of Arrow's
            own buffers are not.
    """

    def __init__(self, batch: pa.RecordBatch, body: np.ndarray) -> None:
        self.rows = batch.num_rows
        self._arrays = dict(zip(batch.schema.names, batch.columns))
        self._body = _Body(body)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def array(self, name: str, dtypes: str | Sequence[str], *shape: int | None) -> np.ndarray:
        """A column of fixed width; `shape` is that of a row, None where any size will do."""
        column = self._column(name)
        if isinstance(column, Lists) or not _is(column, dtypes, shape):
            raise _other_type(name, f"{dtypes} of shape {shape}", self._arrays[name])
        return column

    def lists(self, name: str, dtype: str, *shape: int | None) -> Lists:
        """A list or binary column; `shape` is that of an item."""
        column = self._column(name)
        if not isinstance(column, Lists) or not _is(column.values, dtype, shape):
            raise _other_type(name, f"list of {dtype}", self._arrays[name])
        return column

    def texts(self, name: str) -> pa.StringArray:
        column = self._arrow(name)
        if not pa.types.is_string(column.type):
            raise _other_type(name, "utf8", column)
        return column

    def _column(self, name: str) -> np.ndarray | Lists:
        return _column(self._arrow(name), self._body)

    def _arrow(self, name: str) -> pa.Array:
        if name not in self:
            raise invalid_reply(f"batch: column {name} is missing", got=sorted(self._arrays))
        return self._arrays[name]


def joined(columns: Columns, name: str, type_: tuple[Any, ...], lengths: np.ndarray) -> np.ndarray:
    """The items of a list column of the given lengths."""
    column = columns.lists(name, *type_)
    if not np.array_equal(np.diff(column.offsets), lengths):
        raise invalid_reply(f"batch: column {name} has other lengths than its samples")
    return column.values


def _is(
    array: np.ndarray | Lists, dtypes: str | Sequence[str], shape: tuple[int | None, ...]
) -> bool:
    allowed = (dtypes,) if isinstance(dtypes, str) else dtypes
    # dtype.name is slow
    if isinstance(array, Lists) or all(array.dtype != one for one in allowed):
        return False
    return array.ndim == 1 + len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape[1:])
    )


def _other_type(name: str, expected: str, array: pa.Array) -> LogitcaskError:
    return invalid_reply(f"batch: type of column {name}", expected=expected, got=str(array.type))


class _Body:
    """The receive buffer and its address, which numpy takes its time to say."""

    def __init__(self, bytes_: np.ndarray) -> None:
        self.bytes, self.address = bytes_, bytes_.ctypes.data

    def view(self, buffer: pa.Buffer | None, dtype: type, count: int) -> np.ndarray:
        if buffer is None or buffer.size == 0:
            return np.zeros(count, dtype)  # the one offset of a column without rows, or nothing
        start = buffer.address - self.address
        size = count * np.dtype(dtype).itemsize
        if 0 <= start and start + size <= len(self.bytes):
            return self.bytes[start : start + size].view(dtype)
        return np.frombuffer(buffer, dtype, count)


def _column(array: pa.Array, body: _Body) -> np.ndarray | Lists:
    kind, count = array.type, len(array)
    if array.null_count > 0 or array.offset > 0:
        raise invalid_reply("batch: nulls or slices in a column", got=str(kind))
    if pa.types.is_list(kind):
        offsets = body.view(array.buffers()[1], np.int32, count + 1)
        return Lists(offsets, _column(array.values, body))
    if pa.types.is_binary(kind):
        _, starts, data = array.buffers()
        offsets = body.view(starts, np.int32, count + 1)
        return Lists(offsets, body.view(data, np.uint8, int(offsets[-1])))
    if pa.types.is_fixed_size_list(kind):
        items = _column(array.values, body)
        return items[: count * kind.list_size].reshape(count, kind.list_size, *items.shape[1:])
    data = array.buffers()[1]
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        return body.view(data, np.uint8, count * width).reshape(count, width)
    if pa.types.is_boolean(kind):
        bits = body.view(data, np.uint8, (count + 7) // 8)
        return np.unpackbits(bits, count=count, bitorder="little").view(np.bool_)
    if kind in NUMBERS:
        return body.view(data, NUMBERS[kind], count)
    raise invalid_reply("batch: a column's type is not read here", got=str(kind))
