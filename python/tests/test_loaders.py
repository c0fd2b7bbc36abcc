"""Loaders of torch and torchdata: the same order with any number of workers, states to the step."""

import pytest
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from test_dataset import PLAN, STEPS, PlanServer, place
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from logitcask import LogitcaskError, LogitDataset, append_record

pytestmark = [
    # more workers than the machine has cores, and forks beside the threads of the fake server
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
]

EPOCH = [(0, step) for step in range(STEPS)]


@pytest.fixture
def server():
    with PlanServer() as server:
        yield server


def open_loader(server, workers, loader=StatefulDataLoader, dataset=None, **options):
    dataset = LogitDataset(server.url, plan=PLAN) if dataset is None else dataset
    return dataset, loader(dataset, batch_size=None, num_workers=workers, **options)


def at(epoch):
    return [(epoch, step) for _, step in EPOCH]


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 5])
def test_workers_do_not_change_the_order(server, workers):
    dataset, loader = open_loader(server, workers, DataLoader)
    assert len(loader) == STEPS
    for epoch in range(2):
        dataset.set_epoch(epoch)
        assert [place(batch) for batch in loader] == at(epoch)


@pytest.mark.parametrize("loader", [DataLoader, StatefulDataLoader])
def test_workers_that_live_on_go_on_with_the_next_epoch(server, loader):
    _, loader = open_loader(server, 2, loader, persistent_workers=True)
    for epoch in range(3):
        assert [place(batch) for batch in loader] == at(epoch)


@pytest.mark.parametrize("loader", [DataLoader, StatefulDataLoader])
def test_an_epoch_is_not_given_twice_in_silence(server, loader):
    dataset, loader = open_loader(server, 2, loader)
    assert [place(batch) for batch in loader] == at(0)
    with pytest.raises((LogitcaskError, RuntimeError), match="call set_epoch"):
        list(loader)
    dataset.set_epoch(1)
    assert [place(batch) for batch in loader] == at(1)
    dataset.load_state_dict({"plan": PLAN, "epoch": 0, "step": 1})
    assert [place(batch) for batch in loader] == at(0)[1:]


def test_workers_that_fetched_ahead_do_not_skip_what_they_had():
    with PlanServer(steps=20) as server:
        _, loader = open_loader(server, 2, DataLoader, persistent_workers=True)
        for _ in loader:
            break
        with pytest.raises((LogitcaskError, RuntimeError), match="load a state"):
            list(loader)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("stop", range(STEPS + 1))
def test_a_stateful_loader_resumes_to_the_step(server, workers, stop):
    """Stopped at every step, then again right behind it; the last step's state ends the epoch."""
    _, loader = open_loader(server, workers)
    received = []
    for batch in loader if stop > 0 else ():
        received.append(place(batch))
        if len(received) == stop:
            break
    for _ in range(2):
        state = loader.state_dict()
        dataset, loader = open_loader(server, workers)
        loader.load_state_dict(state)
        batch = next(iter(loader), None)
        if batch is None:  # workers had nothing left of their epoch
            dataset.set_epoch(1)
            batch = next(iter(loader))
        received.append(place(batch))
    assert received == (EPOCH + at(1))[: stop + 2]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_cursor_resumes_with_any_number_of_workers(server, workers):
    _, loader = open_loader(server, 2, DataLoader)
    batch = next(iter(loader))
    dataset, loader = open_loader(server, workers, DataLoader)
    dataset.load_state_dict(batch.cursor)
    assert [place(one) for one in loader] == EPOCH[1:]


def test_a_workers_state_is_none_of_another_number(server):
    dataset, _ = open_loader(server, 0)
    with pytest.raises(LogitcaskError, match="as many workers"):
        dataset.load_state_dict({"plan": PLAN, "epoch": 0, "step": 1, "workers": 3})


def test_a_record_is_written_where_batches_are_received(server, tmp_path):
    dataset = LogitDataset(server.url, plan=PLAN, record=tmp_path / "run.jsonl")
    with pytest.raises((LogitcaskError, RuntimeError), match="append_record"):
        list(DataLoader(dataset, batch_size=None, num_workers=1))
    _, loader = open_loader(server, 2, DataLoader)
    for batch in loader:
        append_record(tmp_path / "run.jsonl", batch)
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == STEPS


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("stop", range(1, STEPS + 1))
def test_a_cursor_resumes_what_accelerate_has_wrapped(server, stop, stateful):
    """It fetches a batch ahead, and sets epochs by itself."""

    def prepared(dataset):
        configuration = DataLoaderConfiguration(
            dispatch_batches=False, use_stateful_dataloader=stateful
        )
        accelerator = Accelerator(dataloader_config=configuration)
        return accelerator.prepare(open_loader(server, 0, DataLoader, dataset)[1])

    received = []
    for batch in prepared(LogitDataset(server.url, plan=PLAN)):
        received.append(place(batch))
        if len(received) == stop:
            break
    dataset = LogitDataset(server.url, plan=PLAN)
    dataset.load_state_dict(batch.cursor)
    loader = prepared(dataset)
    loader.set_epoch(dataset.epoch)
    received += [place(one) for one in loader]
    assert received == EPOCH[:stop] + (EPOCH[stop:] or at(1))


def test_accelerate_cannot_forget_the_epoch_of_a_state(server):
    dataset, loader = open_loader(server, 0, DataLoader)
    dataset.load_state_dict({"plan": PLAN, "epoch": 2, "step": 1})
    configuration = DataLoaderConfiguration(dispatch_batches=False)
    loader = Accelerator(dataloader_config=configuration).prepare(loader)
    with pytest.raises(LogitcaskError, match="set_epoch goes forward"):
        list(loader)
