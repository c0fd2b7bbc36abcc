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
        items: how many values a row, or an item of a list, has.
        data: the number of its values' buffer; for a list, `offsets` is that of its offsets.
        bitmaps: numbers of its other buffers, which only columns with nulls have.
    """

    index: int
    is_list: bool
    dtype: str | None
    shape: tuple[int, ...]
    items: int
    data: int
    offsets: int
    bitmaps: tuple[int, ...]

    def fits(self, dtypes: str | Sequence[str], shape: tuple[int | None, ...]) -> bool:
        return (
            (self.dtype == dtypes if isinstance(dtypes, str) else self.dtype in dtypes)
            and len(shape) == len(self.shape)
            and all(want in (None, got) for want, got in zip(shape, self.shape))
        )


class Columns:
    """The columns of a record batch, converted and checked when asked for.

    Args:
        batch: a record batch of a stream, without nulls.
        body: uint8, what `batch` was read from; views of it are writable, where those of Arrow's
            own buffers are not.
    """

    def __init__(self, batch: pa.RecordBatch, body: np.ndarray) -> None:
        self.rows = batch.num_rows
        self._batch = batch
        # of all columns at once: asking each takes longer than what is done with it
        self._buffers = batch.to_struct_array().buffers()
        self._kinds = _kinds_of(batch, len(self._buffers))
        self._body, self._address = body, body.ctypes.data

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def array(self, name: str, dtypes: str | Sequence[str], *shape: int | None) -> np.ndarray:
        """A column of fixed width; `shape` is that of a row, None where any size will do."""
        kind = self._kind(name)
        if kind.is_list or not kind.fits(dtypes, shape):
            raise self._other_type(kind, f"{dtypes} of shape {shape}")
        return self._items(kind, self.rows)

    def lists(self, name: str, dtype: str, *shape: int | None) -> Lists:
        """A list or binary column; `shape` is that of an item."""
        kind = self._kind(name)
        if not kind.is_list or not kind.fits(dtype, shape):
            raise self._other_type(kind, f"list of {dtype}")
        offsets = self._view(kind.offsets, "int32", (self.rows + 1,))
        return Lists(offsets, self._items(kind, int(offsets[-1])))

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

    def _items(self, kind: Kind, count: int) -> np.ndarray:
        """`count` rows of a column, or items of its lists."""
        for number in kind.bitmaps:
            if self._buffers[number] is not None:
                raise invalid_reply("batch: nulls in a column", got=str(self._field(kind).type))
        if kind.dtype != "bool":
            return self._view(kind.data, kind.dtype, (count, *kind.shape))
        numbers = count * kind.items
        bits = self._view(kind.data, "uint8", ((numbers + 7) // 8,))
        values = np.unpackbits(bits, count=numbers, bitorder="little").view(np.bool_)
        return values.reshape(count, *kind.shape)

    def _view(self, number: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        buffer, kind = self._buffers[number], DTYPES[dtype]
        if buffer is None or buffer.size == 0:
            return np.zeros(shape, kind)  # the one offset of a column without rows, or nothing
        start = buffer.address - self._address
        if 0 <= start < len(self._body):
            return np.ndarray(shape, kind, self._body, start)
        return np.ndarray(shape, kind, buffer)

    def _other_type(self, kind: Kind, expected: str) -> LogitcaskError:
        field = self._field(kind)
        detail = f"batch: type of column {field.name}"
        return invalid_reply(detail, expected=expected, got=str(field.type))

    def _field(self, kind: Kind) -> pa.Field:
        return self._batch.schema.field(kind.index)


def joined(columns: Columns, name: str, type_: tuple[Any, ...], lengths: np.ndarray) -> np.ndarray:
    """The items of a list column of the given lengths."""
    column = columns.lists(name, *type_)
    if not np.array_equal(np.diff(column.offsets), lengths):
        raise invalid_reply(f"batch: column {name} has other lengths than its samples")
    return column.values


#: Schemas, how many buffers they came with and the kinds of their columns, the latest first;
#: replaced as a whole, by any thread.
_known: tuple[tuple[pa.Schema, int, dict[str, Kind]], ...] = ()


def _kinds_of(batch: pa.RecordBatch, buffers: int) -> dict[str, Kind]:
    global _known
    schema = batch.schema
    for known, count, kinds in _known:
        if count == buffers and known.equals(schema):  # views have as many as their data takes
            return kinds
    kinds, first = {}, 1  # behind the bitmap of all columns together
    for index, field in enumerate(schema):
        count = len(batch.column(index).buffers())
        kinds[field.name] = _kind_of(index, field.type, range(first, first + count))
        first += count
    _known = ((schema.remove_metadata(), buffers, kinds), *_known[: SCHEMAS_MAX - 1])
    return kinds


def _kind_of(index: int, type_: pa.DataType, buffers: range) -> Kind:
    """Of the numbers of its buffers: validity, for a list its offsets, validity of what is nested
    …, and last the data."""
    is_binary, is_list = pa.types.is_binary(type_), pa.types.is_list(type_)
    item = type_.value_type if is_list else pa.uint8() if is_binary else type_
    shape: tuple[int, ...] = ()
    while pa.types.is_fixed_size_list(item):
        shape, item = (*shape, item.list_size), item.value_type
    if pa.types.is_fixed_size_binary(item):
        shape, item = (*shape, item.byte_width), pa.uint8()
    has_offsets, data = is_binary or is_list, buffers[-1]
    bitmaps = (buffers[0], *buffers[2:-1]) if has_offsets else tuple(buffers[:-1])
    offsets = buffers[1] if has_offsets else data
    dtype, items = NUMBERS.get(item), prod(shape)
    return Kind(index, has_offsets, dtype, shape, items, data, offsets, bitmaps)
