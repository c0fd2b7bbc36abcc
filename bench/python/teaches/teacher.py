"""The small LM: whole logits of sequences, and what a student can be compared with.

usage: teacher.py MODEL TRAIN TEST LOGITS; ids are .npy of whole sequences joined; writes the logits
of TRAIN as float16 .npy and prints, as JSON, the perplexity on TEST and what 50 random draws a
position would cost and vary.
"""

import json
import struct
import sys

import numpy as np
import torch
from torch.nn import functional

LENGTH = 256
LAYERS, HEADS, HEAD_WIDTH = 4, 3, 64
DRAWS = 50


def read_safetensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header, body = json.loads(file.read(size)), bytearray(file.read())
    del header["__metadata__"]
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = torch.frombuffer(body[start:end], dtype=torch.float16)
        tensors[name] = values.reshape(entry["shape"]).float()
    return tensors


def rms_norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def rotation(length):
    frequencies = 10000 ** -(torch.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH)
    angles = torch.outer(torch.arange(length).float(), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def logits_of(weights, tokens):
    """[B, L] ids → [B, L, V]."""
    rows, length = tokens.shape
    turn = rotation(length)
    embedding = weights["model.embed_tokens.weight"]
    x = embedding[tokens]
    for layer in range(LAYERS):

        def of(name, layer=layer):
            return weights[f"model.layers.{layer}.{name}.weight"]

        h = rms_norm(x, of("input_layernorm"))
        q, k, v = (
            (h @ of(f"self_attn.{name}_proj").T).view(rows, length, HEADS, -1).transpose(1, 2)
            for name in "qkv"
        )
        mixed = functional.scaled_dot_product_attention(
            rotate(q, *turn), rotate(k, *turn), v, is_causal=True
        )
        x = x + mixed.transpose(1, 2).reshape(rows, length, -1) @ of("self_attn.o_proj").T
        h = rms_norm(x, of("post_attention_layernorm"))
        gate = functional.silu(h @ of("mlp.gate_proj").T)
        x = x + (gate * (h @ of("mlp.up_proj").T)) @ of("mlp.down_proj").T
    return rms_norm(x, weights["model.norm.weight"]) @ embedding.T


def random_draws(logits):
    """Distinct entries, and squared error, of counts of random draws, means over positions."""
    p = logits.softmax(-1)
    entries = -torch.expm1(DRAWS * torch.log1p(-p)).sum(-1)
    error = (1 - p.pow(2).sum(-1)) / DRAWS
    return entries.mean().item(), error.mean().item()


def main(model, train, test, out):
    torch.set_num_threads(2)
    weights = read_safetensors(model)
    inputs = torch.from_numpy(np.load(train)).long().view(-1, LENGTH)
    shape = (inputs.numel(), weights["model.embed_tokens.weight"].shape[0])
    file = np.lib.format.open_memmap(out, "w+", np.float16, shape)
    draws = []
    for i, sample in enumerate(inputs):
        logits = logits_of(weights, sample[None])[0]
        file[i * LENGTH : (i + 1) * LENGTH] = logits.numpy()
        if i % 10 == 0:
            draws.append(random_draws(logits))
    file.flush()
    held_out = torch.from_numpy(np.load(test)).long().view(-1, LENGTH)
    losses = [
        functional.cross_entropy(logits_of(weights, sample[None])[0, :-1], sample[1:])
        for sample in held_out
    ]
    entries, error = np.mean(draws, axis=0)
    perplexity = torch.stack(losses).mean().exp().item()
    print(json.dumps({"perplexity": perplexity, "entries": entries, "error": error}))


if __name__ == "__main__":
    with torch.no_grad():
        main(*sys.argv[1:])
