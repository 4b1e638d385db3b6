"""The peers of benches/speed.rs: the same networks with random weights, in single precision, as others run them on a CPU.

    python benches/peers.py classify|train NETWORK THREADS BATCH Z Y X

prints the names of the peers in one line, between tabs, once all are ready, then reads a name a line, lets that peer work once on a batch and prints the
milliseconds that it took. Each gets its input ready-made: upsampled, in three channels, in the layout that it likes. To train is a step: forward, loss,
backward, Adam.

What a peer says when it cannot be made goes to the error stream; it is then no peer.
"""

import os
import pathlib
import signal
import sys
import time
import warnings

work, network, threads, batch, *size = sys.argv[1:]
threads, batch, size = int(threads), int(batch), [int(edge) for edge in size]
os.environ["OMP_NUM_THREADS"] = str(threads)
warnings.simplefilter("ignore")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests/reference/networks"))


class Unit(nn.Sequential):
    """I3D's basic block: a convolution with TensorFlow's SAME padding, BatchNorm, ReLU."""

    def __init__(self, n_in, n_out, kernel, stride=1):
        super().__init__(nn.Conv3d(n_in, n_out, kernel, stride, bias=False), nn.BatchNorm3d(n_out, eps=1e-3), nn.ReLU(True))
        self.window = ([kernel] * 3, [stride] * 3)

    def forward(self, x):
        return super().forward(same(x, *self.window))


def same(x, kernel, stride):
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[2:], kernel, stride)]
    return functional.pad(x, [side for t in reversed(totals) for side in (t // 2, t - t // 2)]) if any(totals) else x


class Pool(nn.Module):
    def __init__(self, kernel, stride):
        super().__init__()
        self.window = (kernel, stride)

    def forward(self, x):
        return functional.max_pool3d(same(x, *self.window), *self.window)


class Module(nn.Module):
    def __init__(self, n_in, a, b, c, d):
        super().__init__()
        self.branches = nn.ModuleList([
            Unit(n_in, a, 1),
            nn.Sequential(Unit(n_in, b[0], 1), Unit(*b, 3)),
            nn.Sequential(Unit(n_in, c[0], 1), Unit(*c, 3)),
            nn.Sequential(Pool([3] * 3, [1] * 3), Unit(n_in, d, 1)),
        ])

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def i3d():
    """Carreira & Zisserman 2017, figure 3."""
    plane = ([1, 3, 3], [1, 2, 2])
    return nn.Sequential(
        Unit(3, 64, 7, 2), Pool(*plane), Unit(64, 64, 1), Unit(64, 192, 3), Pool(*plane),
        Module(192, 64, (96, 128), (16, 32), 32), Module(256, 128, (128, 192), (32, 96), 64), Pool([3] * 3, [2] * 3),
        Module(480, 192, (96, 208), (16, 48), 64), Module(512, 160, (112, 224), (24, 64), 64),
        Module(512, 128, (128, 256), (24, 64), 64), Module(512, 112, (144, 288), (32, 64), 64),
        Module(528, 256, (160, 320), (32, 128), 128), Pool([2] * 3, [2] * 3),
        Module(832, 256, (160, 320), (32, 128), 128), Module(832, 384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(1024, 400),
    )  # fmt: skip


class Logits(nn.Module):
    """A reference network as a function of its video."""

    def __init__(self, name):
        super().__init__()
        if name == "i3d":
            self.model, self.function = i3d(), lambda model, x: model(x)
            return
        import hara
        import torchvision_video
        import vivit

        family = next(family for family in (hara, torchvision_video, vivit) if name in family.NAMES)
        self.model, self.function = family.build(name, {}), family.logits

    def forward(self, x):
        return self.function(self.model, x)


def folded(model):
    """BatchNorm in the convolution before it, wherever one follows the other in a Sequential or, in the names of the ResNets, as bn1 conv1."""
    for module in list(model.modules()):
        children = list(module.named_children())
        for (first, convolution), (second, norm) in zip(children, children[1:]):
            if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                setattr(module, first, nn.utils.fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, nn.Identity())
    return model


def torch_peer(model, x):
    def run():
        with torch.no_grad():
            model(x)

    return run


def contiguous():
    return torch_peer(Logits(network).eval(), video)


def channels_last():
    return torch_peer(Logits(network).eval().to(memory_format=last), video.contiguous(memory_format=last))


def folded_channels_last():
    return torch_peer(folded(Logits(network).eval()).to(memory_format=last), video.contiguous(memory_format=last))


def compiled():
    torch._inductor.config.freezing = True
    x = video if transformer else video.contiguous(memory_format=last)
    return torch_peer(torch.compile(Logits(network).eval()), x)


def onnx_runtime():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with torch.no_grad():
        model = Logits(network).eval()
        # The exporter's own optimiser takes minutes for a transformer; ONNX Runtime optimises all the same.
        settings = {"dynamo": True, "external_data": False, "verbose": False, "optimize": not transformer}
        exported = torch.onnx.export(model, (video,), input_names=["x"], **settings)
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": video.numpy()}
    return lambda: session.run(None, feed)


def open_vino():
    import openvino

    with torch.no_grad():
        model = openvino.convert_model(Logits(network).eval(), example_input=video, input=list(video.shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    x = video.numpy()
    return lambda: request.infer([x])


def training(model, x):
    model = model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    classes = torch.arange(batch) % 2

    def run():
        optimizer.zero_grad()
        functional.cross_entropy(model(x), classes).backward()
        optimizer.step()

    return run


def training_contiguous():
    return training(Logits(network), video)


def training_channels_last():
    return training(Logits(network).to(memory_format=last), video.contiguous(memory_format=last))


TRAINERS = {"PyTorch": training_contiguous, "PyTorch, channels last": training_channels_last}
MAKERS = {
    "PyTorch": contiguous,
    "PyTorch, channels last": channels_last,
    "PyTorch, folded, channels last": folded_channels_last,
    "torch.compile, frozen": compiled,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": open_vino,
}

# Seconds within which a peer has to be ready: exporting a network with windows can take ten minutes.
PATIENCE = 90


def late(*_):
    raise TimeoutError(f"not ready after {PATIENCE} s")


signal.signal(signal.SIGALRM, late)
# What the makers print is not for whoever asks.
replies, sys.stdout = sys.stdout, sys.stderr
torch.set_num_threads(threads)
torch.manual_seed(0)
last = torch.channels_last_3d
transformer = network.startswith(("swin", "vivit"))
video = torch.randn(batch, 1, *size).repeat(1, 3, 1, 1, 1)
peers = {}
for name, make in (TRAINERS if work == "train" else MAKERS).items():
    signal.alarm(PATIENCE)
    try:
        run = make()
        run()
        peers[name] = run
    except Exception as error:
        print(f"{network}: {name} is no peer: {type(error).__name__}: {str(error).splitlines()[:1]}", file=sys.stderr)
    finally:
        signal.alarm(0)
print("\t".join(peers), file=replies, flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    peers[line.strip()]()
    print(1000 * (time.perf_counter() - start), file=replies, flush=True)
