"""CPU of a loss and its gradient, and what the process grows by; prints JSON.

usage: losses.py LOSS ROUNDS; LOSS is a key of LOSSES. One thread; logits are bfloat16.
"""

import json
import resource
import sys
import time

import torch
from logitcask.losses import Soft, kd_loss
from torch.nn.functional import kl_div

POSITIONS, VOCABULARY, K = 1024, 32_768, 64


def ours(logits, teacher):
    return kd_loss(logits, Soft.dense(teacher["ids"], teacher["logprobs"], teacher["rest"]))


def gathered(logits, teacher):
    """The same loss as it is usually written."""
    logprobs = logits.float().log_softmax(-1).gather(-1, teacher["ids"])
    outside = torch.log1p(-logprobs.exp().sum(-1).clamp(max=1 - 1e-6))
    p, rest = teacher["logprobs"].exp(), teacher["rest"]
    kept = (p * (teacher["logprobs"] - logprobs)).sum(-1)
    return (kept + rest * (rest.log() - outside)).mean()


def whole(logits, teacher):
    """KL over the vocabulary, the teacher's log-probs at hand."""
    student = logits.float().log_softmax(-1)
    return kl_div(student, teacher["logprobs"], log_target=True, reduction="batchmean")


LOSSES = {"ours": ours, "gathered": gathered, "whole": whole}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name, rounds):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logits = torch.empty(POSITIONS, VOCABULARY, dtype=torch.bfloat16)
    logprobs = torch.empty(POSITIONS, VOCABULARY if name == "whole" else K)
    teacher = {"ids": torch.empty(POSITIONS, K, dtype=torch.int64), "rest": torch.empty(POSITIONS)}
    # a row at a time: the peak before must not hide what the loss adds
    for t in range(POSITIONS):
        logits[t] = torch.randn(VOCABULARY)
        row = torch.randn(VOCABULARY).mul_(3).log_softmax(-1)
        top, teacher["ids"][t] = row.topk(K)
        logprobs[t] = row if name == "whole" else top
        teacher["rest"][t] = 1 - top.exp().sum()
    teacher["logprobs"] = logprobs
    first = {key: values[:4] for key, values in teacher.items()}
    LOSSES[name](logits[:4].clone().requires_grad_(), first).backward()  # loads what torch needs
    logits.requires_grad_()
    seconds, before = [], peak()
    for _ in range(int(rounds)):
        logits.grad = None
        started = time.process_time()
        LOSSES[name](logits, teacher).backward()
        seconds.append(time.process_time() - started)
    print(json.dumps({"seconds": sorted(seconds)[len(seconds) // 2], "grown": peak() - before}))


main(*sys.argv[1:])
