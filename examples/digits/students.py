"""The teacher, its students, and how each is trained."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def network(width):
    """Logits [B, 10] of crops in 0 … 1, [B, 1, 8, 8]."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * width, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 10),
    )


def train(model, losses, *, steps, rate):
    """`losses` gives the loss of the model, a step each."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=1e-4)
    for _, loss in zip(range(steps), losses(model)):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def train_teacher(crops, labels, *, steps, seed):
    """Of crops uint8 [N, 1, 8, 8], many of an image."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)

    def losses(model):
        while True:
            rows = torch.randint(len(crops), (64,), generator=rng)
            yield cross_entropy(model(crops[rows] / 255), labels[rows])

    return train(network(16), losses, steps=steps, rate=3e-3)


@torch.no_grad()
def accuracy(model, images, labels):
    """Share of whole images [N, 1, 8, 8] that are read right."""
    return (model(images / 255).argmax(1) == labels).double().mean().item()
