"""What `benches/gpu.sh` runs: the same work on the GPU and on the CPU, compared; then the GPU's times beside PyTorch's.

Prints Markdown for benches/record, and ends with 1 if anything differs by more than it may. The bounds are those of single precision sums in
another order, where TensorFloat-32 is off; it is switched off here, as PyTorch's default allows it in convolutions.
"""

import argparse
import pathlib
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root / "examples/python"), str(root / "tests/reference/networks")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

import cinetomo  # noqa: E402

CLASSES = ["a", "b", "c"]
EVERY = "i3d,resnet3d_34,resnext3d_101,s3d,r3d_18,r2plus1d_18,swin3d_t,mvit_v2_s,vivit_b_16x2,vivit_b_16x2_factorised"
MEASURED = ("resnet3d_34", "r3d_18", "swin3d_t", "vivit_b_16x2")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--library", required=True)
parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
parser.add_argument("--networks", default=EVERY)
parser.add_argument("--quick", action="store_true", help="few boxes, small input, one repetition")
args = parser.parse_args()
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False
failures = []


def main():
    plugin = cinetomo.load(args.library)
    # First the GPU's: libtorch looks for devices once.
    with plugin.context(args.device) as gpu, plugin.context("cpu") as cpu:
        name = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
        print(f"cinetomo {plugin.version} with libtorch {torch.__version__} on {name}\n")
        print("| network | what | difference | allowed | |\n|---|---|---|---|---|")
        for network in args.networks.split(","):
            verify(network, gpu, cpu)
        verify_picking(gpu, cpu)
    if not failures:
        print("\n| network | work | precision | cinetomo, ms a subtomogram | PyTorch, ms | best of PyTorch | ratio |\n|---|---|---|---|---|---|---|")
        for network in MEASURED if not args.quick else MEASURED[:1]:
            for precision in ("f32", "bf16"):
                measure(plugin, network, precision)
    for failure in failures:
        print(f"differs: {failure}", file=sys.stderr)
    return bool(failures)


def check(network, what, found, expected, allowed):
    """Largest difference, relative to the largest value."""
    difference = np.abs(np.asarray(found) - expected).max() / max(np.abs(expected).max(), 1e-12)
    good = bool(difference <= allowed)
    print(f"| `{network}` | {what} | {difference:.1e} | {allowed:.0e} | {'ok' if good else '**differs**'} |", flush=True)
    if not good:
        failures.append(f"{network}, {what}: {difference:.1e}, allowed {allowed:.0e}")


def boxes(n):
    return np.random.default_rng(0).normal(size=(n, 32, 32, 32)).astype(np.float32)


def verify(network, gpu, cpu):
    voxels, labels = boxes(6), np.arange(6) % 3
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.safetensors"
        # Swin and the others want videos of their size; on boxes as they come most networks are quick.
        cpu.model_random(CLASSES, backbone=network, preprocess={"n_views": 4}).save(path)
        here, there = cpu.model_load(path), gpu.model_load(path)
        check(network, "probabilities", there.classify(voxels), here.classify(voxels), 1e-4)
        check(network, "embeddings", there.embed(voxels), here.embed(voxels), 1e-4)
        check(network, "Grad-CAM", there.grad_cam(voxels), here.grad_cam(voxels), 1e-2)
        if args.device == "cuda":
            on_device = torch.from_numpy(voxels).cuda()
            check(network, "voxels on the GPU", there.classify(on_device), there.classify(voxels), 0.0)
        # A rate that keeps three steps close: chaos is not what is compared.
        options = {"n_epochs": 1, "batch_size": 2, "learning_rate": 1e-5, "head": "random", "batch_norm": "frozen", "augment": []}
        trained = [model.fine_tune(voxels, labels, **options) for model in (there, here)]
        check(network, "after three steps", *(model.classify(voxels) for model in trained), 1e-3)
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            there.fine_tune(voxels, labels, **options)
            peak = torch.cuda.max_memory_allocated() - before
            told = there.memory_estimate((32, 32, 32), "train", 2)
            print(f"| `{network}` | memory of a training, told / measured | {told / peak:.2f} | | |", flush=True)


def verify_picking(gpu, cpu):
    voxels = np.random.default_rng(1).normal(size=(40, 96, 96)).astype(np.float32)
    tomogram = cinetomo.Tomogram(voxels.shape, voxels.__getitem__, voxel_size=10.0, contrast="dark")
    options = {"particle_diameter": 130.0, "n_max": 50}
    found, expected = (context.pick(tomogram, **options) for context in (gpu, cpu))
    check("picking", "positions of picks", found.positions, expected.positions, 1e-6)
    check("picking", "scores of picks", found.scores, expected.scores, 1e-4)


def milliseconds(work, n):
    """The least of several, a subtomogram."""
    work()
    times = []
    for _ in range(1 if args.quick else 7):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - start)
    return 1000 * min(times) / n


def synchronize():
    if args.device == "cuda":
        torch.cuda.synchronize()


def measure(plugin, network, precision):
    """Classification and a training epoch, from boxes in the host's memory; PyTorch gets its input ready-made, upsampled, on the device."""
    n, size = (4, (8, 64, 64)) if args.quick else (64, (32, 128, 128))
    batch = min(n, 16)
    voxels, labels = boxes(n), np.arange(n) % 3
    with plugin.context(args.device, precision=precision) as context:
        model = context.model_random(CLASSES, backbone=network, preprocess={"n_views": 1, "input_size": size})
        ours = milliseconds(lambda: model.classify(voxels), n)
        peers = {name: milliseconds(run, batch) for name, run in torch_peers(network, precision, batch, size, train=False).items()}
        tell(network, "classify", precision, ours, peers)
        options = {"batch_size": batch, "head": "random", "batch_norm": "trained", "augment": []}
        # What two more epochs cost: a training also copies and checks the model, once.
        one, three = (milliseconds(lambda: model.fine_tune(voxels, labels, n_epochs=epochs, **options), n) for epochs in (1, 3))
        ours = (three - one) / 2
        peers = {name: milliseconds(run, batch) for name, run in torch_peers(network, precision, batch, size, train=True).items()}
        tell(network, "train", precision, ours, peers)


def tell(network, work, precision, ours, peers):
    best = min(peers, key=peers.get)
    print(f"| `{network}` | {work} | {precision} | {ours:.2f} | {peers[best]:.2f} | {best} | {ours / peers[best]:.2f} |", flush=True)


def torch_peers(network, precision, batch, size, train):
    import hara
    import torchvision_video
    import vivit

    family = next(family for family in (hara, torchvision_video, vivit) if network in family.NAMES)
    video = torch.randn(batch, 1, *size, device=args.device).repeat(1, 3, 1, 1, 1)
    labels = torch.arange(batch, device=args.device) % 3
    last = torch.channels_last_3d

    def peer(prepare, layout):
        model = prepare(family.build(network, {}).to(args.device, memory_format=layout).train(train))
        x = video.contiguous(memory_format=layout)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=args.device == "cuda") if train else None

        def run():
            with torch.set_grad_enabled(train), torch.autocast(args.device, torch.bfloat16, enabled=precision == "bf16"):
                logits = family.logits(model, x)
                loss = functional.cross_entropy(logits.float(), labels) if train else None
            if train:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        return run

    peers = {"eager": peer(lambda model: model, torch.contiguous_format), "eager, channels last": peer(lambda model: model, last)}
    if not args.quick:
        peers["torch.compile, channels last"] = peer(torch.compile, last)
    return peers


if __name__ == "__main__":
    sys.exit(main())
