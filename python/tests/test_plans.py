"""Plans of every kind, as the real server makes and proves them."""

import numpy as np
import pytest
from pipe_reader import stored_batch

from logitcask import LogitcaskError, LogitDataset, order_digest

TWICE = [{"dataset": "planes", "proportion": 2}, {"dataset": "planes", "proportion": 1}]
PLANS = {
    "a mixture": {"streams": TWICE},
    "a mixture that stops early": {"streams": TWICE, "stop": "first"},
    "repeats": {"streams": [{"dataset": "raw", "repeat": 3}], "layout": "plain"},
    "a choice": {"streams": [{"dataset": "planes", "choose": 30}]},
    "blocks": {"dataset": "planes", "shuffle_block_size": 8},
    "stored order": {"dataset": "planes", "shuffle": False},
    "a short epoch": {"dataset": "planes", "epoch_size": 23, "pad_last": True},
    "a filter": {"dataset": "planes", "filter": {"positions": {"min": 40}}, "drop_last": True},
    "packs": {"dataset": "planes", "packing": {"length": 100}},
    "packs of pieces": {"dataset": "parquet", "packing": {"length": 23}, "layout": "plain"},
    "packs, dense": {"dataset": "planes", "packing": {"length": 64}, "layout": "dense", "k": 8},
    "packs of mixtures": {"streams": TWICE, "packing": {"length": 64, "window": 4}},
}


@pytest.mark.parametrize("name", PLANS)
def test_what_is_received_has_the_digest_of_the_order(pipe, name):
    options = {"global_batch_size": 6, "shuffle_seed": 5, "as_torch": False, **PLANS[name]}
    whole, epochs = LogitDataset(pipe.client, **options), []
    for epoch in range(2):
        epochs.append(list(whole))
        assert len(epochs[-1]) == len(whole) > 1
        assert order_digest(epochs[-1]) == whole.digest(epoch)
        assert order_digest(epochs[-1][1:3]) == whole.digest(epoch, 1, 3)
    assert (order_digest(epochs[0]) == order_digest(epochs[1])) == (name == "stored order")
    ranks = [LogitDataset(pipe.client, rank=r, world=4, **options) for r in range(4)]
    shares = [list(rank) for rank in ranks]
    for rank, share in zip(ranks, shares):
        assert order_digest(share) == rank.digest(0)
    joined = [batch for step in zip(*shares) for batch in step]
    assert order_digest(joined) == order_digest(epochs[0])


def test_a_mixture_says_whose_a_sample_is(pipe):
    dataset = LogitDataset(pipe.client, streams=TWICE, batch_size=6, as_torch=False)
    streams = [batch["stream"].tolist() for batch in dataset]
    assert all(one.count(0) == 4 for one in streams if len(one) == 6)


def test_a_mixture_of_targets_that_differ_is_refused(pipe):
    dataset = LogitDataset(pipe.client, streams=["planes", "lz4"], batch_size=6)
    with pytest.raises(LogitcaskError, match="conflict"):
        next(iter(dataset))


def test_replicas_of_a_rank_get_the_same(pipe):
    options = {"global_batch_size": 6, "world": 4, "as_torch": False}
    pairs = [LogitDataset(pipe.client, "planes", rank=r, replicate=2, **options) for r in range(4)]
    halves = [
        LogitDataset(pipe.client, plan=pairs[0].plan.id, rank=r, world=2, as_torch=False)
        for r in range(2)
    ]
    for rank, dataset in enumerate(pairs):
        for batch, half in zip(dataset, halves[rank // 2]):
            np.testing.assert_array_equal(batch["teacher_probs"], half["teacher_probs"])
            assert batch.place["replicate"] == 2 and batch.place["rank"] == rank
        for half in halves:
            half.load_state_dict({"plan": half.plan.id, "epoch": 0, "step": 0})
        assert dataset.digest(0) == halves[rank // 2].digest(0)
    with pytest.raises(LogitcaskError, match="rank-out-of-range"):
        LogitDataset(pipe.client, "planes", rank=0, world=4, replicate=3)


def test_a_smaller_vocabulary_leaves_nothing_above_it(pipe):
    options = {"batch_size": 6, "layout": "dense", "dtype": "float32", "as_torch": False}
    whole = next(iter(LogitDataset(pipe.client, "planes", shuffle=False, **options)))
    dataset = LogitDataset(pipe.client, "planes", shuffle=False, vocab_size=700, **options)
    batch = next(iter(dataset))
    assert whole["teacher_ids"].max() >= 700 > batch["teacher_ids"].max()
    mass = [np.exp(one["teacher_logprobs"]).sum(2) + one["teacher_rest"] for one in (whole, batch)]
    np.testing.assert_allclose(mass[0], mass[1], rtol=1e-5)


def test_packs_hold_what_is_stored(pipe):
    """Every position of every sample, once, with its own targets."""
    stored = stored_batch(pipe, "planes", "frames")
    first = {bytes(i): at for i, at in zip(stored["sample_id"], stored["offsets"])}
    seen = np.zeros(len(stored["tokens"]), int)
    dataset = LogitDataset(
        pipe.client, "planes", batch_size=4, packing={"length": 27}, as_torch=False
    )
    for batch in dataset:
        packs = batch.packs()
        rows = zip(batch["sample_id"], batch["first_position"], batch["pack"], batch["offset"])
        for row, (id_, part, pack, offset) in enumerate(rows):
            n = int(np.diff(batch["offsets"])[row])
            own, at = first[bytes(id_)] + part, pack * 27 + offset
            seen[own : own + n] += 1
            tokens = packs["tokens"].ravel()[at : at + n]
            np.testing.assert_array_equal(tokens, stored["tokens"][own : own + n])
            for name in ("ids", "probs"):
                a, b = (
                    one[f"teacher_{name}"][slice(*one["teacher_offsets"][[t, t + n]])]
                    for one, t in ((packs, at), (stored, own))
                )
                np.testing.assert_array_equal(a, b)
    assert (seen == 1).all()
