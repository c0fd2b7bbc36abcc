"""The peer: FastAPI that sends Arrow streams encoded once, with the arrays that our server sends.

usage: peer_server.py URL DATASET COMPRESSION (none | zstd); prints its address and serves.
"""

import socket
import sys

import pyarrow as pa
import uvicorn
from fastapi import FastAPI, Response
from logitcask import LogitDataset


def encode(batch, compression):
    _, length, k = batch["teacher_ids"].shape
    columns = {
        "tokens": (batch["tokens"], length),
        "ids": (batch["teacher_ids"], length * k),
        "logprobs": (batch["teacher_logprobs"], length * k),
        "rest": (batch["teacher_rest"], length),
    }
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), size)
        for values, size in columns.values()
    ]
    table = pa.record_batch(arrays, names=list(columns))
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_batch(table)
    return sink.getvalue().to_pybytes()


def main():
    url, dataset, compression = sys.argv[1:]
    batches = LogitDataset(url, dataset, batch_size=8, layout="dense", as_torch=False)
    bodies = [encode(batch, compression) for batch in batches]
    app = FastAPI()

    @app.get("/steps/{step}")
    async def step(step: int):
        return Response(bodies[step], media_type="application/vnd.apache.arrow.stream")

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    server.run(sockets=[listener])


main()
