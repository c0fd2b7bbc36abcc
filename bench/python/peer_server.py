"""The peers: servers that send the arrays of source.py as Arrow, encoded once.

usage: peer_server.py fastapi SOURCE (none | zstd | lz4) | peer_server.py flight SOURCE
Prints its address and serves.
"""

import socket
import sys

import numpy as np
import pyarrow as pa


def record_batches(source):
    """A record batch a step, with lists of fixed size."""
    arrays = np.load(source)
    for step in range(len(arrays["tokens"])):
        columns = {name: arrays[name][step] for name in arrays.files}
        lists = [
            pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values[0].size)
            for values in columns.values()
        ]
        yield pa.record_batch(lists, names=list(columns))


def encode(batch, compression):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def fastapi(source, compression):
    import uvicorn
    from fastapi import FastAPI, Response

    bodies = [encode(batch, compression) for batch in record_batches(source)]
    app = FastAPI()

    @app.get("/steps/{step}")
    async def step(step: int):
        return Response(bodies[step], media_type="application/vnd.apache.arrow.stream")

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    server.run(sockets=[listener])


def flight(source):
    import pyarrow.flight

    batches = list(record_batches(source))

    class Server(pa.flight.FlightServerBase):
        def do_get(self, context, ticket):
            batch = batches[int(ticket.ticket)]
            reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
            return pa.flight.RecordBatchStream(reader)

    server = Server("grpc://127.0.0.1:0")
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve()


{"fastapi": fastapi, "flight": flight}[sys.argv[1]](*sys.argv[2:])
