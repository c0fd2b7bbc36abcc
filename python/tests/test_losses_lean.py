"""Losses at scale: chunks, memory, number types, compiled graphs, hidden states with their head."""

import shutil
import subprocess
import sys

import pytest
import torch
from loss_cases import FLOAT, Case, bucket_kl, hard, mean
from torch._dynamo.testing import CompileCounterWithBackend

from logitcask import LogitcaskError, _reading
from logitcask.losses import cross_entropy, jsd_loss, kd_loss, reverse_kl, soft_cross_entropy

LOSSES = {
    "kd": lambda z, b, **o: kd_loss(z, b, alpha=0.3, temperature=2, **o),
    "soft": soft_cross_entropy,
    "jsd": jsd_loss,
    "hard": cross_entropy,
    "reverse": reverse_kl,
}


def value_and_gradients(loss, *leaves):
    return loss.detach(), torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_chunks_do_not_change_the_loss(rows, name, monkeypatch):
    case = Case(3, lengths=(9, 4, 6))
    batch, leaf = case.ragged(), case.student("padded")
    expected = value_and_gradients(LOSSES[name](leaf, batch), leaf)
    monkeypatch.setattr(_reading, "CHUNK_ELEMENTS", rows * case.V + 5)
    found = value_and_gradients(LOSSES[name](leaf, batch), leaf)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_read_in_float32(dtype):
    case = Case(3, lengths=(30, 20))
    leaf = case.student("dense", dtype)
    exact = leaf.detach().to(FLOAT).requires_grad_()
    formula = 0.7 * bucket_kl(case, exact, 2.0) + 0.3 * hard(case, exact)
    value, (gradient,) = value_and_gradients(mean(case, formula), exact)
    loss, (found,) = value_and_gradients(LOSSES["kd"](leaf, case.dense(temperature=2.0)), leaf)
    assert (loss.dtype, found.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(loss.to(FLOAT), value, rtol=1e-6, atol=0)
    # one rounding of each element
    limits = torch.finfo(dtype)
    close = limits.eps / 2 * gradient.abs() + limits.smallest_normal + 1e-8
    assert ((found.to(FLOAT) - gradient).abs() <= close).all()


@pytest.mark.parametrize("name", LOSSES)
def test_hidden_states_and_their_head(name, monkeypatch):
    monkeypatch.setattr(_reading, "CHUNK_ELEMENTS", 1)
    monkeypatch.setattr(_reading, "HEAD_ROWS", 4)
    case = Case(3, lengths=(9, 4, 6))
    hidden = torch.randn(case.B, case.L, 5, dtype=FLOAT, requires_grad=True)
    head = torch.randn(case.V, 5, dtype=FLOAT, requires_grad=True)
    batch = case.ragged()
    expected = value_and_gradients(LOSSES[name](hidden @ head.T, batch), hidden, head)
    found = value_and_gradients(LOSSES[name](hidden, batch, head=head), hidden, head)
    torch.testing.assert_close(found, expected)


def test_autocast():
    case = Case(3)
    batch = case.ragged()
    hidden = torch.randn(case.B, case.L, 5, requires_grad=True)
    head = torch.randn(case.V, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = torch.nn.functional.linear(hidden, head)
        assert logits.dtype == torch.bfloat16
        expected = LOSSES["kd"](logits, batch)
        found = LOSSES["kd"](hidden, batch, head=head)
    outside = LOSSES["kd"](logits, batch)
    assert found == expected == outside and found.dtype == torch.float32
    leaves = (hidden, head)
    grads = [torch.autograd.grad(loss, leaves) for loss in (found, expected)]
    # backward runs outside of autocast, and is in bfloat16 all the same
    assert torch.equal(grads[0][0], grads[1][0]) and grads[0][0].dtype == torch.float32
    torch.testing.assert_close(grads[0][1], grads[1][1], rtol=0.01, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "layout"),
    [*((name, "padded") for name in LOSSES), ("kd", "joined"), ("kd", "dense")],
)
def test_one_graph_without_breaks(name, layout):
    torch.compiler.reset()
    backend = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(LOSSES[name], fullgraph=True, backend=backend)
    for seed, lengths in enumerate([(5, 3), (4, 6), (7, 2), (9, 8)]):
        case = Case(seed, lengths=lengths)
        options = {"temperature": 2.0} if (name, layout) == ("kd", "dense") else {}
        batch, leaf = case.batch(layout, **options), case.student(layout)
        expected = value_and_gradients(LOSSES[name](leaf, batch), leaf)
        torch.testing.assert_close(value_and_gradients(compiled(leaf, batch), leaf), expected)
    assert backend.frame_count == 2  # the second has its sizes as variables
    with pytest.raises(LogitcaskError, match="outside the student's vocabulary"):
        compiled(leaf.detach()[..., : case.V // 2], batch)


# inductor's own imports warn
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_with_a_head():
    torch.compiler.reset()
    case = Case(3)
    head = torch.randn(case.V, 5, dtype=FLOAT, requires_grad=True)
    hidden = torch.randn(case.B, case.L, 5, dtype=FLOAT, requires_grad=True)
    batch = case.ragged()
    backend = "inductor" if shutil.which("g++") else "aot_eager"
    loss = torch.compile(LOSSES["kd"], fullgraph=True, backend=backend)
    expected = value_and_gradients(LOSSES["kd"](hidden, batch, head=head), hidden, head)
    found = value_and_gradients(loss(hidden, batch, head=head), hidden, head)
    torch.testing.assert_close(found, expected)


PEAK = """
import resource, torch
from logitcask.losses import Soft, kd_loss

def soft(positions):
    ids = torch.arange(16).expand(positions, 16)
    return Soft.dense(ids, torch.full(ids.shape, -3.0), torch.full((positions,), 0.2))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

positions, width = 2048, 16384
logits = torch.full((positions, width), 0.5, dtype=torch.bfloat16).requires_grad_()
labels = torch.zeros(positions, dtype=torch.int64)
kd_loss(torch.zeros(64, width).requires_grad_(), soft(64)).backward()
before = peak()
kd_loss(logits, soft(positions), alpha=0.5, temperature=2.0, labels=labels).backward()
print((peak() - before) / (2 * positions * width))
"""


def test_the_peak_is_the_gradient_and_a_few_chunks():
    """In copies of the logits, 64 MiB in bfloat16: one in float32 would be 2, a plain loss is 8."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2
