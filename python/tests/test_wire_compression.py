"""Bodies compressed on the way, read by pyarrow: the same columns as those that are not."""

import pyarrow as pa
import pytest
from pipe_reader import whole_plan

from logitcask.client import ARROW


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("layout", ["plain", "dense"])
def test_compressed_bodies_hold_the_same(pipe, fetch, codec, layout):
    plan = whole_plan(pipe, "planes")
    path = (
        f"/v1/plans/{plan.id}/epochs/0/steps/0?layout={layout}&pad_to=64"
        f"&snapshot={plan.snapshots[0]}"
    )
    as_it_is = fetch(path, ARROW)
    packed = fetch(path, f'{ARROW}; codecs="{codec}"')
    assert len(packed) < len(as_it_is)
    readers = [pa.ipc.open_stream(body) for body in (as_it_is, packed)]
    assert readers[0].schema.equals(readers[1].schema, check_metadata=True)
    batches = [reader.read_next_batch() for reader in readers]
    batches[1].validate(full=True)
    # by their bytes: NaN is not equal to NaN
    assert batches[0].serialize().equals(batches[1].serialize())


def test_a_stream_holds_the_steps(pipe, fetch):
    plan = whole_plan(pipe, "planes")
    view = f"layout=plain&snapshot={plan.snapshots[0]}"
    whole = pa.ipc.open_stream(fetch(f"/v1/plans/{plan.id}/epochs/0/stream?{view}", ARROW))
    batches = list(whole)
    assert whole.schema.metadata[b"logitcask.batches"] == str(len(batches)).encode()
    for number, batch in enumerate(batches):
        path = f"/v1/plans/{plan.id}/epochs/0/steps/{number}?{view}"
        step = pa.ipc.open_stream(fetch(path, ARROW)).read_next_batch()
        assert batch.equals(step)
