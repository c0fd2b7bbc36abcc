"""Arrow columns as numpy views of the receive buffer: no Python lists, no copies but of bitmaps.

What types say is worked out once for all batches of a schema: asking Arrow each time takes longer
than all else that is done for a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from .errors import LogitcaskError, invalid_reply

#: pyarrow's own table of these imports pandas.
NUMBERS = {
    pa.int32(): "int32",
    pa.uint16(): "uint16",
    pa.uint8(): "uint8",
    pa.uint32(): "uint32",
    pa.uint64(): "uint64",
    pa.float16(): "float16",
    pa.float32(): "float32",
    pa.bool_(): "bool",
}
DTYPES = {name: np.dtype(name) for name in NUMBERS.values()}
#: A plan's batches have one schema, or a few where their padding differs.
SCHEMAS_MAX = 16


class Lists(NamedTuple):
    """A list or binary column: row b holds values[offsets[b]:offsets[b + 1]]."""

    offsets: np.ndarray
    values: np.ndarray


class Kind(NamedTuple):
    """How a column lies in memory.

    Attributes:
        index: its number among the columns.
        dtype: by name; None where no array is made of such a column.
        shape: of a row, or of an item of a list.
    """

    index: int
    is_list: bool
    dtype: str | None
    shape: tuple[int, ...]

    def fits(self, dtypes: str | Sequence[str], shape: tuple[int | None, ...]) -> bool:
        return (
            (self.dtype == dtypes if isinstance(dtypes, str) else self.dtype in dtypes)
            and len(shape) == len(self.shape)
            and all(want in (None, got) for want, got in zip(shape, self.shape))
        )


class Columns:
    """The columns of a record batch, converted and checked when asked for.

    Args:
        batch: a record batch without nulls.
        body: uint8, what `batch` was read from; views of it are writable, where those of Arrow's
            own buffers are not.
    """

    def __init__(self, batch: pa.RecordBatch, body: np.ndarray) -> None:
        self.rows = batch.num_rows
        self._batch = batch
        self._kinds = _kinds_of(batch.schema)
        self._body = _Body(body)

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def array(self, name: str, dtypes: str | Sequence[str], *shape: int | None) -> np.ndarray:
        """A column of fixed width; `shape` is that of a row, None where any size will do."""
        kind = self._kind(name)
        if kind.is_list or not kind.fits(dtypes, shape):
            raise self._other_type(kind, f"{dtypes} of shape {shape}")
        return self._body.items(self._buffers(kind)[-1], kind, self.rows)

    def lists(self, name: str, dtype: str, *shape: int | None) -> Lists:
        """A list or binary column; `shape` is that of an item."""
        kind = self._kind(name)
        if not kind.is_list or not kind.fits(dtype, shape):
            raise self._other_type(kind, f"list of {dtype}")
        buffers = self._buffers(kind)
        offsets = self._body.view(buffers[1], "int32", self.rows + 1)
        return Lists(offsets, self._body.items(buffers[-1], kind, int(offsets[-1])))

    def texts(self, name: str) -> pa.StringArray:
        kind = self._kind(name)
        column = self._batch.column(kind.index)
        if not pa.types.is_string(column.type):
            raise self._other_type(kind, "utf8")
        return column

    def _kind(self, name: str) -> Kind:
        kind = self._kinds.get(name)
        if kind is None:
            raise invalid_reply(f"batch: column {name} is missing", got=sorted(self._kinds))
        return kind

    def _buffers(self, kind: Kind) -> list[pa.Buffer | None]:
        """Validity, for a list its offsets, validity of what is nested …, and last the data."""
        column = self._batch.column(kind.index)
        buffers = column.buffers()
        bitmaps = [buffers[0], *buffers[2:-1]] if kind.is_list else buffers[:-1]
        if column.offset > 0 or any(one is not None for one in bitmaps):
            raise invalid_reply("batch: nulls or slices in a column", got=str(column.type))
        return buffers

    def _other_type(self, kind: Kind, expected: str) -> LogitcaskError:
        field = self._batch.schema.field(kind.index)
        detail = f"batch: type of column {field.name}"
        return invalid_reply(detail, expected=expected, got=str(field.type))


def joined(columns: Columns, name: str, type_: tuple[Any, ...], lengths: np.ndarray) -> np.ndarray:
    """The items of a list column of the given lengths."""
    column = columns.lists(name, *type_)
    if not np.array_equal(np.diff(column.offsets), lengths):
        raise invalid_reply(f"batch: column {name} has other lengths than its samples")
    return column.values


class _Body:
    """The receive buffer and its address, which numpy takes its time to say."""

    def __init__(self, bytes_: np.ndarray) -> None:
        self.bytes, self.address = bytes_, bytes_.ctypes.data

    def items(self, buffer: pa.Buffer | None, kind: Kind, count: int) -> np.ndarray:
        """`count` rows of a column, or items of its lists."""
        numbers = count * prod(kind.shape)
        if kind.dtype == "bool":
            bits = self.view(buffer, "uint8", (numbers + 7) // 8)
            values = np.unpackbits(bits, count=numbers, bitorder="little").view(np.bool_)
        else:
            values = self.view(buffer, kind.dtype, numbers)
        return values.reshape(count, *kind.shape) if kind.shape else values

    def view(self, buffer: pa.Buffer | None, dtype: str, count: int) -> np.ndarray:
        kind = DTYPES[dtype]
        if buffer is None or buffer.size == 0:
            return np.zeros(count, kind)  # the one offset of a column without rows, or nothing
        start = buffer.address - self.address
        size = count * kind.itemsize
        if 0 <= start and start + size <= len(self.bytes):
            return self.bytes[start : start + size].view(kind)
        return np.frombuffer(buffer, kind, count)


#: Schemas and the kinds of their columns, the latest first; replaced as a whole, by any thread.
_known: tuple[tuple[pa.Schema, dict[str, Kind]], ...] = ()


def _kinds_of(schema: pa.Schema) -> dict[str, Kind]:
    global _known
    for known, kinds in _known:
        if known.equals(schema):
            return kinds
    kinds = {field.name: _kind_of(index, field.type) for index, field in enumerate(schema)}
    _known = ((schema.remove_metadata(), kinds), *_known[: SCHEMAS_MAX - 1])
    return kinds


def _kind_of(index: int, type_: pa.DataType) -> Kind:
    if pa.types.is_binary(type_):
        return Kind(index, True, "uint8", ())
    is_list = pa.types.is_list(type_)
    item = type_.value_type if is_list else type_
    shape: tuple[int, ...] = ()
    while pa.types.is_fixed_size_list(item):
        shape, item = (*shape, item.list_size), item.value_type
    if pa.types.is_fixed_size_binary(item):
        return Kind(index, is_list, "uint8", (*shape, item.byte_width))
    return Kind(index, is_list, NUMBERS.get(item), shape)
