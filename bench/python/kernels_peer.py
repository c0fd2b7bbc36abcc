"""The peer of the kernels: torch.topk and torch.logsumexp on one thread, timed on request.

Reads rows from a file ([rows, V] float32) and, for each line "TYPE" on standard input, prints the
CPU seconds of one pass over all rows in that type.
"""

import sys
import time

import numpy as np
import torch

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def main(path: str, rows: int, k: int) -> None:
    torch.set_num_threads(1)
    values = torch.from_numpy(np.fromfile(path, np.float32).reshape(rows, -1))
    typed = {name: values.to(dtype) for name, dtype in TYPES.items()}
    for line in sys.stdin:
        logits = typed[line.strip()]
        started = time.process_time()
        torch.topk(logits, k)
        torch.logsumexp(logits, -1)
        print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
