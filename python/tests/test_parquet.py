"""Parquet shards as pyarrow and pandas read them, without our code, against what is served."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipe_reader import stored_batch

COLUMNS = {
    "sample_id": pa.binary(16),
    "tokens": pa.int32(),
    "mask": pa.bool_(),
    "meta": pa.string(),
    "teacher_counts": pa.uint32(),
    "teacher_ids": pa.uint32(),
    "teacher_levels": pa.uint16(),
    "teacher_rest": pa.uint16(),
    "teacher_label_logprob": pa.float16(),
    "teacher_log_z": pa.float32(),
}


@pytest.fixture(scope="module")
def shards(pipe):
    """Bytes of all Parquet shards in order."""
    files = pipe.client.manifest("parquet").document["files"]
    names = [file["name"] for file in files if file["role"] == "shard"]
    assert len(names) > 1 and all(name.endswith(".parquet") for name in names)
    return [io.BytesIO(pipe.client.shard("parquet", name)) for name in names]


def flat(table, name):
    return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)


def test_pyarrow_reads_the_values_that_are_served(pipe, shards):
    files = [pq.ParquetFile(shard, page_checksum_verification=True) for shard in shards]
    table = pa.concat_tables([file.read() for file in files])
    batch = stored_batch(pipe, "parquet", "plain")
    for field in table.schema:
        kind = field.type.value_type if pa.types.is_list(field.type) else field.type
        assert not field.nullable and kind == COLUMNS[field.name]
    assert table.column_names == list(COLUMNS)
    np.testing.assert_array_equal(flat(table, "tokens"), batch["tokens"])
    np.testing.assert_array_equal(flat(table, "mask"), batch["mask"])
    np.testing.assert_array_equal(flat(table, "teacher_ids"), batch["teacher_ids"])
    np.testing.assert_array_equal(flat(table, "teacher_counts"), np.diff(batch["teacher_offsets"]))
    for name in ("label_logprob", "log_z"):
        stored, sent = flat(table, f"teacher_{name}"), batch[f"teacher_{name}"].ravel()
        np.testing.assert_array_equal(stored.view(np.uint8), sent.view(np.uint8))
    rest = np.exp(flat(table, "teacher_rest") / -2048.0).astype(np.float32)
    np.testing.assert_array_equal(rest, batch["teacher_rest"])
    ids = np.frombuffer(b"".join(table["sample_id"].to_pylist()), np.uint8).reshape(-1, 16)
    np.testing.assert_array_equal(ids, batch["sample_id"])
    assert [json.loads(text) for text in table["meta"].to_pylist()] == batch.meta


def test_files_name_what_they_hold_and_have_bounds(pipe, shards):
    document = pipe.client.manifest("parquet").document
    (own,) = document["target_sets"]
    for shard in shards:
        file = pq.ParquetFile(shard)
        metadata = {k.decode(): v.decode() for k, v in file.schema_arrow.metadata.items()}
        (described,) = json.loads(metadata["logitcask.target_sets"])
        assert described == {key: own[key] for key in ("name", "kind", "codec", "log_z")}
        assert json.loads(metadata["logitcask.label_space"]) == document["label_space"]
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            columns = file.metadata.row_group(group).to_dict()["columns"]
            chunks = {chunk["path_in_schema"].split(".")[0]: chunk for chunk in columns}
            assert {chunk["compression"] for chunk in columns} == {"ZSTD"}
            for name in ("tokens", "teacher_ids", "teacher_levels", "teacher_log_z"):
                bounds, values = chunks[name]["statistics"], flat(rows, name)
                assert (bounds["min"], bounds["max"]) == (values.min(), values.max())
            ids, bounds = rows["sample_id"].to_pylist(), chunks["sample_id"]["statistics"]
            assert (bounds["min"], bounds["max"]) == (min(ids), max(ids))
            assert "BYTE_STREAM_SPLIT" in chunks["teacher_log_z"]["encodings"]


def test_pandas_has_plain_columns(pipe, shards):
    frame = pd.concat([pd.read_parquet(shard) for shard in shards], ignore_index=True)
    batch = stored_batch(pipe, "parquet", "plain")
    assert frame.columns.tolist() == list(COLUMNS)
    assert len(frame) == batch.rows
    for name in ("tokens", "teacher_ids"):
        np.testing.assert_array_equal(np.concatenate(frame[name].to_list()), batch[name])
    levels = np.concatenate(frame["teacher_levels"].to_list()).astype(np.float64) ** 2
    counts = np.concatenate(frame["teacher_counts"].to_list()).astype(np.int64)
    sums = np.repeat(np.add.reduceat(levels, np.cumsum(counts) - counts), counts)
    kept = np.repeat(1 - batch["teacher_rest"].astype(np.float64), counts)
    probs = (levels * kept / sums).astype(np.float32)
    np.testing.assert_array_equal(probs, batch["teacher_probs"])
