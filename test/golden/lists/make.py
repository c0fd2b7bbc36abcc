"""Writes the list files of this folder: the small LM's top 8 at 64 positions, in each layout.

Run in this folder with numpy 2.4 and pyarrow 26: python make.py
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

K, LENGTH = 8, 16
rows = np.load("../logits/small-lm-rows0-511.f16.npy")[:64].astype(np.float64)
tokens = np.load("../logits/small-lm-rows0-511.tokens.npy")[:64].reshape(-1, LENGTH)
logprobs = rows - rows.max(1, keepdims=True)
logprobs -= np.log(np.exp(logprobs).sum(1, keepdims=True))
ids = np.argsort(-logprobs, axis=1, kind="stable")[:, :K]
values = np.take_along_axis(logprobs, ids, 1).astype(np.float32)
ids, values = ids.reshape(-1, LENGTH, K), values.reshape(-1, LENGTH, K)
samples = len(tokens)


def lists(array, kind, depth):
    for _ in range(depth):
        kind = pa.list_(kind)
    return pa.array(array.tolist(), kind)


with open("samples.jsonl", "w") as file:
    for own, top, logprob in zip(tokens.tolist(), ids.tolist(), values.tolist()):
        file.write(json.dumps({"tokens": own, "ids": top, "logprobs": logprob}) + "\n")

# as `datasets` writes them: int64 lists, small row groups, snappy, a dictionary
input_ids = lists(tokens, pa.int64(), 1)
ones = lists(np.ones_like(tokens), pa.int8(), 1)
pq.write_table(
    pa.table(
        {
            "input_ids": input_ids,
            "attention_mask": ones,
            "token_ids": lists(ids, pa.int64(), 2),
            "top_values": lists(values, pa.float32(), 2),
        }
    ),
    "distillkit.parquet",
    row_group_size=2,
)
learned = np.ones((samples, LENGTH, K), int)
learned[:, -1] = 0
pq.write_table(
    pa.table(
        {
            "input_ids": input_ids,
            "labels": input_ids,
            "attention_mask": ones,
            "target_logprobs": lists(values.astype(np.float64), pa.float64(), 2),
            "target_token_ids": lists(ids, pa.int32(), 2),
            "target_mask": lists(learned, pa.int64(), 2),
        }
    ),
    "axolotl.parquet",
    compression="zstd",
    data_page_version="2.0",
    data_page_size=256,
    write_batch_size=16,
)
flat = np.arange(samples * LENGTH)
pq.write_table(
    pa.table(
        {
            "sample": pa.array([f"s{i // LENGTH}" for i in flat]),
            "position": pa.array(flat % LENGTH, pa.uint16()),
            "token": pa.array(tokens.ravel(), pa.uint32()),
            "ids": lists(ids.reshape(-1, K), pa.uint32(), 1),
            "logprobs": lists(values.reshape(-1, K), pa.float32(), 1),
        }
    ),
    "positions.parquet",
    compression="gzip",
    use_dictionary=["sample", "position"],
    column_encoding={
        "token": "BYTE_STREAM_SPLIT",
        "ids.list.element": "BYTE_STREAM_SPLIT",
        "logprobs.list.element": "BYTE_STREAM_SPLIT",
    },
)
