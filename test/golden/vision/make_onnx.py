"""Writes images/, classifier*.onnx, detector.onnx and onnx.npz, what torch makes of the images.

The images are scikit-learn's digits (UCI ML hand-written digits, CC BY 4.0) of the last 297, in
several sizes, colours and file formats; the models were trained on the first 1,500. Needs torch,
Pillow 12, onnx and onnxscript.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

FOLDER = Path(__file__).parent
SIZE = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CANVAS = (24, 40)  # height and width
STRIDE, BINS = 8, 6

torch.manual_seed(5)
rng = np.random.default_rng(5)
digits = load_digits()
pixels = (digits.images * (255 / 16)).round().astype(np.uint8)


def tinted(digit, colour, ground):
    weight = digit[..., None].astype(np.float64) / 255
    return (weight * colour + (1 - weight) * ground).round().astype(np.uint8)


def stretch(image, size=(SIZE, SIZE), resample=Image.BILINEAR):
    return np.asarray(image.resize(size[::-1], resample))


def crop(image, edge, resample=Image.BICUBIC):
    """As torchvision's Resize and CenterCrop."""
    w, h = image.size
    size = (edge, int(edge * h / w)) if w < h else (int(edge * w / h), edge)
    image = image.resize(size, resample)
    left, top = (int(round((side - SIZE) / 2)) for side in image.size)
    return np.asarray(image.crop((left, top, left + SIZE, top + SIZE)))


def letterbox(image, size, pad, resample=Image.NEAREST):
    h, w = size
    factor = min(h / image.height, w / image.width)
    inner = image.resize((round(image.width * factor), round(image.height * factor)), resample)
    canvas = Image.new("RGB", (w, h), (pad,) * 3)
    canvas.paste(inner, ((w - inner.width) // 2, (h - inner.height) // 2))
    return np.asarray(canvas)


def normalised(images):
    """uint8 [N, H, W, 3] → float32 [N, 3, H, W]."""
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


class Classifier(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(12 * 16, 10),
        )


class FromBytes(nn.Module):
    """The same classifier from uint8 [N, H, W, 3], and its probabilities."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, images):
        values = images.permute(0, 3, 1, 2).float() / 255
        return self.inner((values - self.mean) / self.std).softmax(1)


class Detector(nn.Module):
    """Scores of digits and background, distributions of four sides, and boxes, at 3 × 5 anchors."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(12, 16, 3, stride=2, padding=1), nn.ReLU(),
        )
        self.head = nn.Conv2d(16, 11 + 4 * BINS, 1)
        rows, columns = CANVAS[0] // STRIDE, CANVAS[1] // STRIDE
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = torch.stack([x, y], -1).reshape(-1, 2) * STRIDE + STRIDE / 2
        self.register_buffer("centres", centres.float())

    def forward(self, images):
        out = self.head(self.body(images)).flatten(2).transpose(1, 2)
        sides = out[..., 11:].unflatten(-1, (4, BINS))
        far = (sides.softmax(-1) * torch.arange(BINS)).sum(-1) * 2
        boxes = torch.cat([self.centres - far[..., :2], self.centres + far[..., 2:]], -1)
        return out[..., :11], sides, boxes


def train(model, batch, loss_of, steps):
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        inputs, truth = batch()
        loss = loss_of(model(inputs), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(type(model).__name__, float(loss))
    return model.eval()


def digit_batch():
    own = rng.integers(0, 1500, 64)
    images = [
        stretch(Image.fromarray(tinted(pixels[i], *rng.integers(0, 256, (2, 3))))) for i in own
    ]
    return normalised(np.stack(images)), torch.from_numpy(digits.target[own])


def scene(index, shape=CANVAS):
    """A digit of 8 × 8 on noise: the canvas, and the anchor of its centre."""
    canvas = rng.integers(0, 96, shape).astype(np.uint8)
    y, x = rng.integers(0, shape[0] - 8), rng.integers(0, shape[1] - 8)
    canvas[y : y + 8, x : x + 8] = np.maximum(canvas[y : y + 8, x : x + 8], pixels[index])
    anchor = (y + 4) // STRIDE * (shape[1] // STRIDE) + (x + 4) // STRIDE
    return canvas, anchor, (x, y, x + 8, y + 8)


def scene_batch():
    own = rng.integers(0, 1500, 64)
    scenes = [scene(i) for i in own]
    images = torch.from_numpy(np.stack([s[0] for s in scenes])).float()[:, None] / 255
    return images, (scenes, own)


def scene_loss(outputs, truth):
    scores, sides, boxes = outputs
    scenes, own = truth
    rows, anchors = torch.arange(len(own)), torch.tensor([s[1] for s in scenes])
    wanted = torch.full(scores.shape[:2], 10)
    wanted[rows, anchors] = torch.from_numpy(digits.target[own])
    box = torch.tensor([s[2] for s in scenes]).float()
    classes = nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten())
    return classes + 0.05 * (boxes[rows, anchors] - box).abs().mean()


def write(model, name, example, outputs, **options):
    torch.onnx.export(
        model, (example,), FOLDER / name, input_names=["images"], output_names=outputs,
        dynamo=False, opset_version=17, **options,
    )


def write_images():
    """Sixteen digits as files: PNG of every kind, JPEG, WebP; wide, tall and square."""
    folder = FOLDER / "images"
    folder.mkdir(exist_ok=True)
    forms = [
        ("png", "RGB"), ("png", "L"), ("png", "P"), ("png", "RGBA"), ("jpg", "RGB"),
        ("jpg", "L"), ("webp", "RGB"), ("png", "RGB"),
    ]
    lines = []
    for n in range(16):
        index = 1500 + n
        ending, mode = forms[n % len(forms)]
        size = [(8, 8), (31, 20), (19, 40), (16, 16), (57, 23)][n % 5]
        image = Image.fromarray(tinted(pixels[index], *rng.integers(0, 256, (2, 3))))
        image = image.resize(size, Image.BICUBIC).convert(mode)
        options = {"lossless": True} if ending == "webp" else {}
        image.save(folder / f"{n}.{ending}", **options)
        lines.append({"uri": f"images/{n}.{ending}", "hard_label": int(digits.target[index])})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (FOLDER / "images.jsonl").write_text(text)
    return [Image.open(FOLDER / line["uri"]).convert("RGB") for line in lines]


classifier = train(Classifier(), digit_batch, nn.functional.cross_entropy, 400)
detector = train(Detector(), scene_batch, scene_loss, 400)
images = write_images()
free = {"dynamic_axes": {"images": {0: "batch"}, "logits": {0: "batch"}}}
write(classifier, "classifier.onnx", torch.zeros(1, 3, SIZE, SIZE), ["logits"], **free)
example = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
write(FromBytes(classifier), "classifier-bytes.onnx", example, ["probabilities"])
write(detector, "detector.onnx", torch.zeros(1, 1, *CANVAS), ["classes", "sides", "boxes"])
seen = {
    "stretch": np.stack([stretch(image) for image in images]),
    "crop": np.stack([crop(image, 20) for image in images]),
    "letterbox": np.stack([letterbox(image, (SIZE, SIZE), 114) for image in images]),
}
logits = {f"{name}_logits": classifier(normalised(own)).detach() for name, own in seen.items()}
reversed_logits = classifier(normalised(seen["crop"][..., ::-1].copy())).detach()
grey = [stretch(image.convert("L"), CANVAS) for image in images]
canvases = torch.from_numpy(np.stack(grey)).float()[:, None] / 255
scores, sides, boxes = (values.detach().numpy() for values in detector(canvases))
np.savez_compressed(
    FOLDER / "onnx.npz",
    **seen,
    **{name: values.numpy() for name, values in logits.items()},
    crop_bgr_logits=reversed_logits.numpy(),
    classes=scores.reshape(-1, 11),
    sides=sides.reshape(-1, 4, BINS),
    boxes=boxes,
)
labels = digits.target[1500:1516]
print("right", int((logits["stretch_logits"].argmax(1).numpy() == labels).sum()), "of", len(labels))
