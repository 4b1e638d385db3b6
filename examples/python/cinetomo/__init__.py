"""cinetomo for Python: numpy arrays in and out of the C library, without copies.

    import cinetomo

    plugin = cinetomo.load()                                   # finds the library by its manifest
    with plugin.context() as context:
        video = context.model_from_video("i3d-kinetics-400.ckpt", ["ribosome", "ferritin"])
        boxes = cinetomo.Volume(voxels, voxel_size=10.0, contrast="dark")   # voxels [n, z, y, x]
        model = video.fine_tune(boxes, labels, progress=True)
        probabilities = model.classify(others)                 # [n, n_classes]

This one file is the whole binding: ctypes and numpy, nothing to compile. It follows include/cinetomo.h, where each function and
option is documented; names are the same, choices are written as text ("dark" for CINETOMO_CONTRAST_DARK).

Voxels are numpy arrays, or anything that gives out its memory by DLPack, the array interface or CUDA's (torch, jax, cupy): f4, f2,
u1, i1, u2 or i2, strided or not. They are read in place. Arrays on a GPU must be finished: synchronise first.

Failures raise `Error`, which carries the status. What a progress function raises stops the call and is raised from it; so is
Ctrl-C, within a batch. Calls release the interpreter lock; models may be shared between threads and take turns. A process that has
imported torch must share its libtorch with cinetomo, otherwise `load` raises `Error` with `Status.RUNTIME_CONFLICT`.
"""

from __future__ import annotations

import ctypes
import enum
import json
import logging
import os
import platform
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import CFUNCTYPE, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Union, get_args, get_origin, get_type_hints

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self, Unpack

__all__ = [
    "Boxes", "Cancel", "Context", "Dataset", "Error", "Evaluation", "Found", "Manifest", "Model", "ModelInfo", "Picks",
    "Plugin", "Predictions", "Progress", "Simulated", "Status", "Synthetic", "Tomogram", "Volume", "find", "load",
]  # fmt: skip

__version__ = "0.1.0"
ABI_VERSION = 1

# --- Choices: constants of the contract as text, in the order of their numbers. ---

Axis = Literal["z", "y", "x"]
Balance = Literal["none", "weights", "sampling"]
BatchNorm = Literal["auto", "frozen", "recalibrated", "trained"]
CamMethod = Literal["grad_cam", "respond_cam"]
Contrast = Literal["unknown", "dark", "bright"]
Device = Literal["auto", "cpu", "cuda"]
Edge = Literal["pad", "skip", "fail"]
Head = Literal["auto", "keep", "random", "probe", "probe_stages"]
Interpolation = Literal["bicubic", "linear", "nearest"]
LogLevel = Literal["off", "error", "warn", "info", "debug", "trace"]
Normalization = Literal["min_max", "z_score", "percentile", "unit", "fixed"]
Optimizer = Literal["adam", "adam_w", "sgd"]
Part = Literal["none", "training", "validation", "test"]
Precision = Literal["f32", "bf16", "auto"]
Preset = Literal["default", "paper_video", "paper_random", "probe"]
Regularizer = Literal["none", "l2_sp", "mars", "delta", "delta_uniform"]
Resampling = Literal["fourier", "linear", "nearest"]
Schedule = Literal["cosine", "step", "constant"]
Stage = Literal[
    "load", "features", "probe", "recalibrate", "train", "validate", "classify", "embed", "simulate", "pick", "extract",
    "explain", "project",
]  # fmt: skip
ThresholdRule = Literal["peak_range", "deviations", "score"]

# These are added up: bit i is the i-th.
Augment = Literal["mirror", "crop", "affine", "rotate", "noise", "intensity", "wedge", "mixup"]
Reject = Literal["probability", "distance"]


class Status(enum.IntEnum):
    """What a call came to: CINETOMO_STATUS_*."""

    OK = 0
    NULL_ARGUMENT = 1
    INVALID_ARGUMENT = 2
    BUFFER_TOO_SMALL = 3
    UNSUPPORTED = 4
    NON_FINITE = 5
    IO = 6
    FORMAT = 7
    MODEL_MISMATCH = 8
    DEVICE_UNAVAILABLE = 9
    OUT_OF_MEMORY = 10
    CANCELLED = 11
    RUNTIME_CONFLICT = 12
    BACKEND = 13
    PANIC = 14


class Error(RuntimeError):
    """A failed call: a status, and a message that says what was wrong, the values, and what would be right."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        #: A `Status`, or the plain number if a newer library has added one.
        self.status: int = Status(status) if status in Status._value2member_map_ else status


# --- Options that a caller may change; what they mean and their defaults are in cinetomo.h, at the struct of that name. ---


class CalibrationOptions(TypedDict, total=False):
    precision: float
    coverage: float
    temperature: bool
    reject: Iterable[Reject]


class PreprocessOptions(TypedDict, total=False):
    #: What the others change.
    preset: Preset
    input_size: Sequence[int]
    percentile_low: float
    percentile_high: float
    normalization: Normalization
    interpolation: Interpolation
    contrast: Contrast
    n_views: int
    fixed_mean: float
    fixed_deviation: float


class SplitOptions(TypedDict, total=False):
    training_fraction: float
    validation_fraction: float
    test_fraction: float
    seed: int


class SyntheticOptions(TypedDict, total=False):
    box_size: int
    voxel_size: float
    snr: float
    tilt_range: float
    max_shift: float
    defocus: float
    voltage: float
    spherical_aberration: float
    seed: int
    contrast: Contrast
    envelope: float
    band_limit: float
    band_edge: float
    noise_before: float
    mtf: float
    n_neighbours: int
    tilt_axis: Axis
    beam_axis: Axis


class GradCamOptions(TypedDict, total=False):
    stage: str
    class_index: int
    method: CamMethod
    rectify: int


class TsneOptions(TypedDict, total=False):
    perplexity: float
    seed: int
    n_iterations: int


class PickOptions(TypedDict, total=False):
    sigma: float
    particle_diameter: float
    sigma_ratio: float
    min_distance: float
    threshold: float
    n_max: int
    border: int
    max_memory: int
    threshold_rule: ThresholdRule
    refine: bool


class ExtractOptions(TypedDict, total=False):
    box_size: int
    voxel_size: float
    resampling: Resampling
    edge: Edge
    contrast: Contrast


class FineTuneOptions(TypedDict, total=False):
    learning_rate: float
    momentum: float
    weight_decay: float
    gamma: float
    milestones: Sequence[int]
    validation_fraction: float
    seed: int
    n_epochs: int
    batch_size: int
    n_frozen_stages: int
    optimizer: Optimizer
    schedule: Schedule
    batch_norm: BatchNorm
    head: Head
    augment: Iterable[Augment]
    select_best: bool
    regularizer: Regularizer
    regularizer_strength: float
    regularizer_stages: Sequence[str]
    label_smoothing: float
    stage_rate_decay: float
    checkpoint: Union[str, os.PathLike]
    balance: Balance
    micro_batch_size: int
    patience: int
    schedule_interval: int
    checkpoint_interval: int
    calibration: CalibrationOptions


# --- Results ---


class Progress(NamedTuple):
    """Where a long call stands; see cinetomo_progress."""

    stage: Stage
    epoch: int
    n_epochs: int
    step: int
    n_steps: int
    fraction: float
    loss: float
    accuracy: float
    validation_accuracy: float


class RuntimeInfo(NamedTuple):
    """Versions, paths and devices; see cinetomo_runtime_info."""

    version: str
    libtorch_version: str
    libtorch_path: str
    cuda_path: str
    cuda_driver: str
    summary: str
    abi_version: int
    n_cores: int
    cuda_loaded: int
    n_cuda_devices: int


class ModelInfo(NamedTuple):
    """What a model says of itself; see cinetomo_model_info."""

    backbone: str
    class_names: list[str]
    stage_names: list[str]
    n_features: int
    n_parameters: int
    input_size: tuple[int, int, int]
    voxel_size: float
    contrast: Contrast
    checkpoint_sha256: str
    metadata: dict[str, Any]


class Predictions(NamedTuple):
    """What `Model.predict` says of n subtomograms."""

    #: The class of each, -1 where a rule rejected it.
    labels: NDArray[np.int32]
    #: Calibrated, [n, n_classes].
    probabilities: NDArray[np.float32]
    #: From the nearest class, [n]; None unless "distance" is a rule.
    distances: NDArray[np.float32] | None


class Separation(NamedTuple):
    """How well classes are apart in embeddings; see cinetomo_separation."""

    n_evaluated: int
    silhouette: float
    knn_accuracy: float


class Simulated(NamedTuple):
    """Voxels, and the particles in them: a structured array with the fields of cinetomo_synthetic_particle."""

    voxels: NDArray[np.float32]
    particles: np.ndarray


class Picks(NamedTuple):
    """What `Context.pick` finds, the best first."""

    #: z, y, x in voxels, counted from the centre of the first voxel: [n, 3].
    positions: NDArray[np.float32]
    #: More is better: [n].
    scores: NDArray[np.float32]


class Boxes(NamedTuple):
    """What `Context.extract` cuts out."""

    #: [n, z, y, x].
    voxels: NDArray[np.float32]
    #: For each box the index of its particle: [n].
    indices: NDArray[np.int64]


class Threshold(NamedTuple):
    """A threshold of a rule, and what it did where it was chosen; see cinetomo_threshold."""

    value: float
    n_accepted: int
    n_correct: int
    precision_low: float
    precision_high: float


class Confidence(NamedTuple):
    """How sure a model is, and what that rests on; see cinetomo_confidence."""

    n_calibration: int
    temperature: float
    temperature_error: float
    log_loss_before: float
    log_loss_after: float
    probability: Threshold
    distance: Threshold
    n_class_means: int


class Evaluation(NamedTuple):
    """How good scores are; see cinetomo_metrics. `confusion` has the true class along the rows."""

    n_evaluated: int
    accuracy: float
    macro_auc: float
    balanced_accuracy: float
    macro_f1: float
    expected_calibration_error: float
    brier_score: float
    log_loss: float
    best_threshold_accuracy: float
    best_threshold: float
    confusion: NDArray[np.int64]


# --- The structs of cinetomo.h, field by field. ---


def _struct(name: str, fields: str, **types: Any) -> type[ctypes.Structure]:
    """A ctypes struct from lines `type field field[n] ...;`, the types being those of C or given by name."""
    known: dict[str, Any] = {"size": c_size_t, "i32": c_int32, "i64": c_int64, "u32": c_uint32, "u64": c_uint64, "f64": c_double}
    known |= {"ptr": c_void_p, "text": c_char_p} | types
    members = []
    for line in filter(None, map(str.strip, fields.split(";"))):
        kind, *names = line.split()
        for member in names:
            array = re.fullmatch(r"(\w+)\[(\d+)\]", member)
            members.append((array[1], known[kind] * int(array[2])) if array else (member, known[kind]))
    return type(name, (ctypes.Structure,), {"_fields_": members})


_LogSink = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
_ContextOptions = _struct(
    "cinetomo_context_options",
    "size struct_size; i32 device device_index n_threads log_level; sink log; ptr log_user_data;i32 precision reserved",
    sink=_LogSink,
)
_Volume = _struct(
    "cinetomo_volume",
    "size struct_size; ptr data; size data_bytes; i64 shape[4] strides[4]; f64 voxel_size;"
    "i32 dtype memory memory_index contrast beam_axis reserved",
)
_Progress = _struct(
    "cinetomo_progress",
    "size struct_size; i32 stage epoch n_epochs step n_steps reserved; f64 fraction loss accuracy validation_accuracy",
)
_OnProgress = CFUNCTYPE(c_int32, c_void_p, ctypes.POINTER(_Progress))
_Hooks = _struct("cinetomo_hooks", "size struct_size; ptr user_data; call progress; ptr cancel", call=_OnProgress)
_Preprocess = _struct(
    "cinetomo_preprocess",
    "size struct_size; i64 input_size[3]; f64 percentile_low percentile_high; i32 normalization interpolation contrast n_views;"
    "f64 fixed_mean fixed_deviation",
)
_ModelOptions = _struct(
    "cinetomo_model_options",
    "size struct_size; text backbone; ptr class_names; size n_classes; ptr preprocess; u64 seed; f64 dropout",
)
_ModelInfo = _struct(
    "cinetomo_model_info",
    "size struct_size; text backbone; texts class_names; size n_classes; texts stage_names; size n_stages;"
    "i64 n_features n_parameters input_size[3]; f64 voxel_size; i32 contrast reserved; text checkpoint_sha256 metadata_json",
    texts=ctypes.POINTER(c_char_p),
)
_GradCamOptions = _struct("cinetomo_grad_cam_options", "size struct_size; text stage; i32 class_index method rectify reserved")
_TsneOptions = _struct("cinetomo_tsne_options", "size struct_size; f64 perplexity; u64 seed; i32 n_iterations reserved")
_Separation = _struct("cinetomo_separation", "size struct_size; i64 n_evaluated; f64 silhouette knn_accuracy")
_CalibrationOptions = _struct("cinetomo_calibration_options", "size struct_size; f64 precision coverage; i32 temperature reject")
_FineTuneOptions = _struct(
    "cinetomo_fine_tune_options",
    "size struct_size; f64 learning_rate momentum weight_decay gamma; ptr milestones; size n_milestones;"
    "f64 validation_fraction; u64 seed; i32 n_epochs batch_size n_frozen_stages optimizer schedule batch_norm head augment"
    " select_best regularizer; f64 regularizer_strength label_smoothing stage_rate_decay; text checkpoint;"
    "i32 balance micro_batch_size patience schedule_interval checkpoint_interval reserved; ptr calibration;"
    "text regularizer_stages",
)
_Threshold = _struct("cinetomo_threshold", "f64 value; i64 n_accepted n_correct; f64 precision_low precision_high")
_Confidence = _struct(
    "cinetomo_confidence",
    "size struct_size; i64 n_calibration; f64 temperature temperature_error log_loss_before log_loss_after;"
    "threshold probability distance; i64 n_class_means",
    threshold=_Threshold,
)
_Predictions = _struct(
    "cinetomo_predictions",
    "size struct_size; ptr labels; size labels_capacity; ptr probabilities; size probabilities_capacity; ptr distances;"
    "size distances_capacity",
)
_Metrics = _struct(
    "cinetomo_metrics",
    "size struct_size; i64 n_evaluated; f64 accuracy macro_auc balanced_accuracy macro_f1 expected_calibration_error"
    " brier_score log_loss best_threshold_accuracy best_threshold",
)
_ClassMetrics = _struct("cinetomo_class_metrics", "i64 n_examples n_predicted; f64 precision recall f1 auc")
_RocPoint = _struct("cinetomo_roc_point", "f64 threshold false_positive_rate true_positive_rate")
_ReliabilityBin = _struct("cinetomo_reliability_bin", "f64 low high; i64 n; f64 confidence accuracy")
_SplitOptions = _struct(
    "cinetomo_split_options", "size struct_size; f64 training_fraction validation_fraction test_fraction; u64 seed"
)
_RuntimeInfo = _struct(
    "cinetomo_runtime_info",
    "size struct_size; text version libtorch_version libtorch_path cuda_path cuda_driver summary; u32 abi_version;"
    "i32 n_cores cuda_loaded n_cuda_devices",
)
_SyntheticOptions = _struct(
    "cinetomo_synthetic_options",
    "size struct_size; i64 box_size; f64 voxel_size snr tilt_range max_shift defocus voltage spherical_aberration; u64 seed;"
    "i32 contrast reserved; f64 envelope band_limit band_edge noise_before mtf; i32 n_neighbours tilt_axis beam_axis reserved_2",
)
_SyntheticParticle = _struct("cinetomo_synthetic_particle", "f64 position[3] rotation[9] radius snr; i32 label reserved")
_Read = CFUNCTYPE(c_int32, c_void_p, *[c_int64] * 6, c_void_p)
_Tomogram = _struct(
    "cinetomo_tomogram",
    "size struct_size; ptr voxels; call read; ptr user_data; i64 shape[3]; f64 voxel_size; i32 contrast reserved",
    call=_Read,
)
_Fetch = CFUNCTYPE(c_int32, c_void_p, ctypes.POINTER(c_int64), c_size_t, c_void_p, c_void_p, c_size_t)
_Dataset = _struct(
    "cinetomo_dataset",
    "size struct_size; call read; ptr user_data; text identity; i64 shape[4]; f64 voxel_size; i32 contrast beam_axis",
    call=_Fetch,
)
_PickOptions = _struct(
    "cinetomo_pick_options",
    "size struct_size; f64 sigma particle_diameter sigma_ratio min_distance threshold; i64 n_max border; u64 max_memory;"
    "i32 threshold_rule refine",
)
_ExtractOptions = _struct(
    "cinetomo_extract_options", "size struct_size; i64 box_size; f64 voxel_size; i32 resampling edge contrast reserved"
)


def _table(name: str, entries: str) -> type[ctypes.Structure]:
    """A table of functions from lines `result function(arguments)`, each type a letter: p pointer, s text, z size, i int32,
    l int64, u uint32, d double, - nothing."""
    letters: dict[str, Any] = {
        "p": c_void_p,
        "s": c_char_p,
        "z": c_size_t,
        "i": c_int32,
        "l": c_int64,
        "u": c_uint32,
        "d": c_double,
        "-": None,
    }
    fields: list[tuple[str, Any]] = [("struct_size", c_size_t)]
    for result, function, arguments in re.findall(r"(\S) (\w+)\((\w*)\)", entries):
        fields.append((function, CFUNCTYPE(letters[result], *(letters[letter] for letter in arguments))))
    return type(name, (ctypes.Structure,), {"_fields_": fields})


# The beginning of cinetomo_api: later entries of a newer library are left alone.
_Api = _table(
    "cinetomo_api",
    """
    u abi_version()              s version()                     p get_extension(s)           s status_name(i)
    i error_status(p)            s error_message(p)              - error_free(p)
    i runtime_info_init(pz)      i runtime_info_get(pp)
    i context_options_init(pz)   i context_new(ppp)              - context_free(p)
    i hooks_init(pz)             i cancel_new(pp)                - cancel_raise(p)            - cancel_free(p)
    i volume_init(pz)            i preprocess_init(pz)           i model_options_init(pz)
    i model_from_video(pspppp)   i model_random(pppp)
    i fine_tune_options_init(pz) i model_fine_tune(pppzpppp)
    i model_classify(ppppzpp)    i model_embed(ppppzpp)
    i model_save(psp)            i model_load(pspp)
    i model_info_init(pz)        i model_info_get(ppp)           - model_free(p)
    i metrics_init(pz)           i evaluate(pzpzzppzpp)          i fine_tune_options_preset(pzi)
    i evaluate_classes(pzpzzpzpp)                                i evaluate_roc(pzpzzzpzpp)
    i evaluate_reliability(pzpzzzpzpp)
    i split_options_init(pz)     i split(ppzppzpp)
    i calibration_options_init(pz)                               i model_calibrate(pppzpppp)
    i confidence_init(pz)        i model_confidence_get(ppp)
    i predictions_init(pz)       i model_predict(ppippp)
    i weights_inspect(spzpp)     i memory_estimate(pllllipp)
    i grad_cam_options_init(pz)  i model_grad_cam(pppppzpp)     i preprocess_preset(pzi)
    """,
)
_SyntheticApi = _table(
    "cinetomo_synthetic_api",
    """
    z n_phantoms()               s phantom_name(z)               i options_init(pz)           i phantom_density(zldpzpp)
    i simulate(pppzpppzpp)       i options_init_liu_2020(pz)     i simulate_particles(pppzpppzppzp)
    i simulate_tomogram(pppzppppzppzp)
    """,
)
_Project2dApi = _table(
    "cinetomo_project2d_api",
    "i options_init(pz) i separation_init(pz) i tsne(ppzzpppzpp) i separation(ppzzpzzpp)",
)
_DatasetApi = _table(
    "cinetomo_dataset_api",
    "i dataset_init(pz) i fine_tune(pppzpppp) i calibrate(pppzpppp) i classify(ppppzpp)",
)
_PickApi = _table(
    "cinetomo_pick_api",
    "i tomogram_init(pz) i pick_options_init(pz) i pick(ppppppzpp) i extract_options_init(pz) i extract(pppzpppzppzp)",
)


# --- From Python's values to C's and back ---


def _index(choices: Any, value: str, what: str) -> int:
    """The number of a choice written as text."""
    names = get_args(choices)
    if value not in names:
        raise Error(Status.INVALID_ARGUMENT, f"{what} is {value!r}; expected one of {', '.join(names)}")
    return names.index(value)


def _flags(choices: Any, values: Iterable[str], what: str) -> int:
    """The sum of choices that are added up."""
    if isinstance(values, str):
        raise Error(Status.INVALID_ARGUMENT, f"{what} is the text {values!r}; expected several, such as [{values!r}]")
    return sum({1 << _index(choices, value, what) for value in values})


def _fill(struct: ctypes.Structure, hints: type, options: Mapping[str, Any]) -> Any:
    """Sets fields of a struct that its `_init` has filled; what kind of value each takes is written in the hints."""
    kinds = get_type_hints(hints)
    for name, value in options.items():
        if name not in kinds:
            raise TypeError(f"there is no option {name!r}; expected one of {', '.join(sorted(kinds))}")
        kind = kinds[name]
        if get_origin(kind) is Literal:
            value = _index(kind, value, name)
        elif get_origin(kind) is Iterable:
            value = _flags(get_args(kind)[0], value, name)
        setattr(struct, name, tuple(value) if isinstance(value, Sequence) and not isinstance(value, bytes) else value)
    return struct


def _record(kind: Any, struct: ctypes.Structure, **others: Any) -> Any:
    """A result from the struct's fields of the same names; text is decoded."""
    values = {name: getattr(struct, name) for name in kind._fields if name not in others}
    return kind(**{name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}, **others)


def _text(value: str | os.PathLike) -> bytes:
    return os.fspath(value).encode()


def _integers(values: Any, what: str) -> NDArray[np.int32]:
    """Whole numbers as int32; copied only if they are not."""
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise Error(Status.INVALID_ARGUMENT, f"{what} have shape {array.shape} and type {array.dtype}; expected [n] integers")
    narrow = np.ascontiguousarray(array, dtype=np.int32)
    if not np.array_equal(narrow, array):
        raise Error(Status.INVALID_ARGUMENT, f"{what} do not fit into 32 bits")
    return narrow


def _rows(values: Any, what: str) -> NDArray[np.float32]:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim != 2:
        raise Error(Status.INVALID_ARGUMENT, f"{what} have shape {array.shape}; expected two axes, a row for each subtomogram")
    return array


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


class _DLTensor(ctypes.Structure):
    """DLTensor of DLPack, which both kinds of capsule hold."""

    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)), ("byte_offset", c_uint64),
    ]  # fmt: skip


# The types of voxels, by numpy's letter and number of bytes and in the order of CINETOMO_DTYPE_*.
_DTYPES = ("f4", "f2", "u1", "i1", "u2", "i2")
_CPU, _CUDA = 1, 2  # CINETOMO_MEMORY_*: those of DLPack


class Volume:
    """A batch of subtomograms [n, z, y, x] (or one, [z, y, x]) in somebody's memory, which is kept alive and not copied.

    `voxel_size` is in angstrom, 0 if unknown; `beam_axis` is the axis along the electron beam. The voxels may change between
    calls.
    """

    def __init__(self, voxels: Any, *, voxel_size: float = 0.0, contrast: Contrast = "unknown", beam_axis: Axis = "z"):
        self._owner = voxels
        self._raw = _Volume(struct_size=ctypes.sizeof(_Volume), memory=_CPU, voxel_size=voxel_size)
        self._raw.contrast = _index(Contrast, contrast, "contrast")
        self._raw.beam_axis = _index(Axis, beam_axis, "beam_axis")
        if isinstance(voxels, np.ndarray):
            self._take_interface(voxels.__array_interface__)
        elif hasattr(voxels, "__cuda_array_interface__"):
            self._take_interface(voxels.__cuda_array_interface__)
            self._raw.memory, self._raw.memory_index = _CUDA, _cuda_device(voxels)
        elif hasattr(voxels, "__dlpack__"):
            self._take_capsule(voxels.__dlpack__())
        elif hasattr(voxels, "__array_interface__"):
            self._take_interface(voxels.__array_interface__)
        else:
            raise Error(
                Status.INVALID_ARGUMENT,
                f"voxels are a {type(voxels).__name__}; expected a numpy array, or an object with __dlpack__, "
                "__array_interface__ or __cuda_array_interface__",
            )

    def __len__(self) -> int:
        return self._raw.shape[0]

    def _take_interface(self, interface: Mapping[str, Any]) -> None:
        """Reads an array interface of numpy or CUDA."""
        order, kind = interface["typestr"][0], interface["typestr"][1:]
        native = {"little": "<", "big": ">"}[sys.byteorder]
        if order not in ("|", "=", native):
            raise Error(Status.INVALID_ARGUMENT, f"voxels have type {interface['typestr']}; expected this machine's byte order")
        strides = interface.get("strides")
        self._describe(interface["data"][0], kind, interface["shape"], strides and self._in_voxels(strides, int(kind[1:])))
        if strides is None:
            self._raw.data_bytes = int(np.prod(interface["shape"])) * int(kind[1:])

    def _in_voxels(self, strides: Sequence[int], size: int) -> list[int]:
        if any(stride % size for stride in strides):
            raise Error(
                Status.INVALID_ARGUMENT, f"voxels of {size} bytes have strides of {tuple(strides)} bytes; expected multiples"
            )
        return [stride // size for stride in strides]

    def _take_capsule(self, capsule: Any) -> None:
        """Reads a DLPack capsule. It keeps its name, so that its own destructor gives the memory back when we are gone."""
        self._owner = capsule
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
        tensor = _DLTensor.from_address(pointer(capsule, b"dltensor"))
        if tensor.device_type not in (_CPU, _CUDA):
            raise Error(Status.INVALID_ARGUMENT, f"voxels lie on DLPack device {tensor.device_type}; expected 1 (CPU) or 2 (CUDA)")
        kind = f"{'iuf'[tensor.code] if tensor.code < 3 else '?'}{tensor.bits * tensor.lanes // 8}"
        strides = tensor.strides[: tensor.ndim] if tensor.strides else None
        self._describe((tensor.data or 0) + tensor.byte_offset, kind, tensor.shape[: tensor.ndim], strides)
        self._raw.memory, self._raw.memory_index = tensor.device_type, tensor.device_id

    def _describe(self, data: int, kind: str, shape: Sequence[int], strides: Sequence[int] | None) -> None:
        if kind not in _DTYPES:
            raise Error(
                Status.INVALID_ARGUMENT,
                f"voxels have type {kind}; expected one of {', '.join(_DTYPES)}: convert them, as with astype",
            )
        if len(shape) not in (3, 4):
            raise Error(Status.INVALID_ARGUMENT, f"voxels have shape {list(shape)}; expected [n, z, y, x] or [z, y, x]")
        single = len(shape) == 3
        self._raw.data, self._raw.dtype = data, _DTYPES.index(kind)
        self._raw.shape = (1, *shape) if single else tuple(shape)
        if strides is not None:
            self._raw.strides = (strides[0] * shape[0], *strides) if single else tuple(strides)


class Dataset:
    """Subtomograms that are read when they are wanted, so that they need not fit into memory, for `Model.fine_tune`,
    `calibrate` and `classify`: anything whose `boxes[i]` is a subtomogram [z, y, x], such as an array of zarr or HDF5, a
    `numpy.memmap`, or a list-like object of yours. What it raises comes out of the call.

    Each is read once an epoch, on the thread that makes the call, while the network computes on another. `identity` is what
    the voxels are known by when a training goes on from a checkpoint; without it, all are read and hashed."""

    def __init__(
        self,
        boxes: Any,
        *,
        voxel_size: float = 0.0,
        contrast: Contrast = "unknown",
        beam_axis: Axis = "z",
        identity: str | None = None,
    ):
        shape = tuple(boxes.shape) if hasattr(boxes, "shape") else (len(boxes), *np.shape(boxes[0]))
        if len(shape) != 4:
            raise Error(Status.INVALID_ARGUMENT, f"boxes have shape {list(shape)}; expected [n, z, y, x]")
        self._boxes = boxes
        self._thrown: BaseException | None = None
        self._callback = _Fetch(self._fetch)
        self._raw = _Dataset(struct_size=ctypes.sizeof(_Dataset), read=self._callback, shape=shape, voxel_size=voxel_size)
        self._raw.contrast = _index(Contrast, contrast, "contrast")
        self._raw.beam_axis = _index(Axis, beam_axis, "beam_axis")
        self._raw.identity = None if identity is None else identity.encode()

    def __len__(self) -> int:
        return self._raw.shape[0]

    def _fetch(self, _: Any, indices: Any, n: int, out: int, message: Any, capacity: int) -> int:
        try:
            shape = tuple(self._raw.shape)[1:]
            target = np.ctypeslib.as_array(ctypes.cast(out, ctypes.POINTER(ctypes.c_float)), (n, *shape))
            for place in range(n):
                box = np.asarray(self._boxes[indices[place]])
                if box.shape != shape:
                    raise Error(
                        Status.INVALID_ARGUMENT, f"box {indices[place]} has shape {list(box.shape)}; expected {list(shape)}"
                    )
                target[place] = box
        except BaseException as thrown:
            self._thrown = thrown
            return 1
        return 0

    def _raise(self) -> None:
        thrown, self._thrown = self._thrown, None
        if thrown is not None:
            raise thrown from None


class Tomogram:
    """A tomogram that is fetched piece by piece, such as one of zarr, HDF5 or a network. One in memory or memory-mapped
    (`numpy.memmap`) is a `Volume`, or an array [z, y, x].

    `read` receives slices along z, y, x and returns what lies there; what it raises comes out of the call:
    `Tomogram(array.shape, array.__getitem__)`."""

    def __init__(
        self,
        shape: Sequence[int],
        read: Callable[[tuple[slice, slice, slice]], Any],
        *,
        voxel_size: float = 0.0,
        contrast: Contrast = "unknown",
    ):
        self._read = read
        self._thrown: BaseException | None = None
        self._callback = _Read(self._fetch)
        self._raw = _Tomogram(struct_size=ctypes.sizeof(_Tomogram), read=self._callback, shape=tuple(shape), voxel_size=voxel_size)
        self._raw.contrast = _index(Contrast, contrast, "contrast")

    def _fetch(self, _: Any, z: int, y: int, x: int, nz: int, ny: int, nx: int, out: int) -> int:
        try:
            target = np.ctypeslib.as_array(ctypes.cast(out, ctypes.POINTER(ctypes.c_float)), (nz, ny, nx))
            target[...] = self._read((slice(z, z + nz), slice(y, y + ny), slice(x, x + nx)))
        except BaseException as thrown:
            self._thrown = thrown
            return 1
        return 0

    def _raise(self) -> None:
        thrown, self._thrown = self._thrown, None
        if thrown is not None:
            raise thrown from None


def _cuda_device(array: Any) -> int:
    """The GPU that an array with a CUDA array interface, which does not tell, lies on."""
    if hasattr(array, "__dlpack_device__"):
        return array.__dlpack_device__()[1]
    return getattr(getattr(array, "device", None), "id", 0)


def _volume(voxels: Any) -> Volume:
    return voxels if isinstance(voxels, Volume) else Volume(voxels)


class _Handle:
    """Something of the library's that is freed once: by `close`, at the end of a `with`, or with its last reference."""

    def __init__(self, plugin: Plugin, handle: int | None, free: Callable[[int | None], None]):
        self._plugin = plugin
        self._handle = handle
        self._finalizer = weakref.finalize(self, free, handle)

    def close(self) -> None:
        """Frees it now. Twice is fine; a call that runs on another thread still ends well."""
        self._finalizer()
        self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Cancel(_Handle):
    """A flag by which any thread may stop calls; from `Plugin.cancel`."""

    def set(self) -> None:
        """Stops the calls that this flag was given to, and every later one, with `Status.CANCELLED`."""
        self._plugin._api.cancel_raise(self._handle)


class _Follow:
    """The hooks of one call. An exception of the progress function stops the call and is raised once it has returned."""

    def __init__(self, progress: Callable[[Progress], object] | bool | None, cancel: Cancel | None):
        self._bar = _bar() if progress is True else None
        self._function = progress if callable(progress) else self._bar
        self._thrown: BaseException | None = None
        self._restore: Any = None
        # Always: Python notices Ctrl-C only where Python code runs.
        self._callback = _OnProgress(self._report)
        self.raw = _Hooks(struct_size=ctypes.sizeof(_Hooks), progress=self._callback, cancel=cancel and cancel._handle)

    def _report(self, _: Any, raw: Any) -> int:
        try:
            if self._thrown is None and self._function is not None:
                report = _record(Progress, raw.contents, stage=_stage(raw.contents.stage))
                return 1 if self._function(report) is False else 0
        except BaseException as thrown:  # also KeyboardInterrupt
            self._thrown = thrown
        return 0 if self._thrown is None else 1

    def __enter__(self) -> Any:
        # Raised as Python enters the callback, before its `try`, KeyboardInterrupt would be lost: it is noted instead.
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._restore = signal.signal(signal.SIGINT, self._interrupt)
        return byref(self.raw)

    def _interrupt(self, *_: object) -> None:
        self._thrown = KeyboardInterrupt()

    def __exit__(self, *_: object) -> None:
        if self._restore is not None:
            signal.signal(signal.SIGINT, self._restore)
        if self._bar is not None:
            self._bar.close()
        thrown, self._thrown = self._thrown, None
        if thrown is not None:
            raise thrown from None


class _Source:
    """A tomogram as a call wants it. What reading it raised is raised once the call has returned."""

    def __init__(self, tomogram: Any):
        self._owner = tomogram if isinstance(tomogram, Tomogram) else _volume(tomogram)
        if isinstance(self._owner, Tomogram):
            self._raw = self._owner._raw
        else:
            self._raw = _Tomogram(struct_size=ctypes.sizeof(_Tomogram), voxels=ctypes.addressof(self._owner._raw))

    def __enter__(self) -> Any:
        return byref(self._raw)

    def __exit__(self, *_: object) -> None:
        if isinstance(self._owner, Tomogram):
            self._owner._raise()


class _Batch:
    """Subtomograms as a call wants them. What reading them raised is raised once the call has returned."""

    def __init__(self, boxes: Volume | Dataset):
        self._boxes = boxes

    def __enter__(self) -> Any:
        return byref(self._boxes._raw)

    def __exit__(self, *_: object) -> None:
        if isinstance(self._boxes, Dataset):
            self._boxes._raise()


def _stage(number: int) -> str:
    names = get_args(Stage)
    return names[number] if number < len(names) else str(number)


def _bar() -> Any:
    """A progress function that shows a tqdm bar, or without tqdm a line on stderr."""
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return _Line()
    return _TqdmBar(tqdm(total=100, unit="%", bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"))


class _TqdmBar:
    def __init__(self, bar: Any):
        self._bar = bar

    def __call__(self, progress: Progress) -> None:
        self._bar.set_description_str(_where(progress), refresh=False)
        self._bar.update(100.0 * progress.fraction - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _Line:
    def __call__(self, progress: Progress) -> None:
        sys.stderr.write(f"\r{_where(progress)} {100.0 * progress.fraction:3.0f} %\x1b[K")

    def close(self) -> None:
        sys.stderr.write("\n")


def _where(progress: Progress) -> str:
    epoch = f" {progress.epoch}/{progress.n_epochs}" if progress.epoch else ""
    loss = f", loss {progress.loss:.3f}" if progress.loss == progress.loss else ""
    return f"{progress.stage}{epoch}{loss}"


# --- Finding and loading the library: plugin-manifest/README.md ---


class Manifest(NamedTuple):
    """What a host may know of a plugin without loading it."""

    path: Path
    name: str
    version: str
    #: For this platform; None if there is none.
    library: Path | None
    entry: str
    abi_versions: list[int]
    #: That it has a library for; none = any.
    platforms: list[str]


class Found(NamedTuple):
    """What a search for manifests found."""

    #: The first that can be used.
    manifest: Manifest
    #: Others that could be used and come later.
    shadowed: list[Manifest]
    #: Places and manifests that could not, each with the reason.
    passed_over: list[tuple[Path, str]]


class _Unusable(Exception):
    """Why a manifest is passed over."""


def find(place: str | os.PathLike | None = None) -> Found:
    """The first plugin that can be used, by its manifest: in a manifest or directory of manifests, or along the search path. Loads
    nothing. The error lists every place and what was wrong with it."""
    return _find_in([Path(place)] if place is not None else _search_path(os.environ, _is_privileged()))


def _is_privileged() -> bool:
    """Whether the process has more rights than whoever started it: then the environment, which is theirs, is not believed."""
    at_secure = 23  # of <elf.h>
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.restype, getauxval.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
    return getauxval(at_secure) != 0


def _search_path(environment: Mapping[str, str], privileged: bool) -> list[Path]:
    def variable(name: str) -> str:
        return "" if privileged else environment.get(name, "")

    places = [Path(place) for place in variable("CINETOMO_PLUGIN_PATH").split(":") if place]
    user = variable("XDG_DATA_HOME")
    if not user.startswith("/"):  # relative paths are to be ignored
        user = variable("HOME") and os.path.join(variable("HOME"), ".local/share")
    system = variable("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    data = [user, *system.split(":")]
    return places + [Path(directory) / "cinetomo/plugins" for directory in data if directory.startswith("/")]


def _find_in(places: Iterable[Path]) -> Found:
    usable: list[Manifest] = []
    passed_over: list[tuple[Path, str]] = []
    for place in places:
        try:
            manifests = _manifests_in(place)
        except (OSError, _Unusable) as reason:
            passed_over.append((place, str(reason)))
            continue
        for path in manifests:
            try:
                manifest = _read_manifest(path)
                _check_usable(manifest)
                if all(manifest.path != other.path for other in usable):
                    usable.append(manifest)
            except (OSError, ValueError, _Unusable) as reason:
                passed_over.append((path, str(reason)))
    if not usable:
        tried = "".join(f"\n  {path}: {reason}" for path, reason in passed_over)
        raise Error(
            Status.IO,
            "no usable cinetomo plugin; set CINETOMO_PLUGIN_PATH to the directory of its manifest (PREFIX/share/cinetomo/plugins). "
            f"Looked at:{tried}",
        )
    return Found(usable[0], usable[1:], passed_over)


def _manifests_in(place: Path) -> list[Path]:
    if not place.is_dir():
        if place.exists():
            return [place]
        raise _Unusable("not there")
    manifests = sorted((path for path in place.iterdir() if path.suffix == ".json"), key=os.fsencode)
    if not manifests:
        raise _Unusable("no manifest (*.json) in it")
    return manifests


_PLATFORMS = ("linux-x86_64", "linux-aarch64")


def _read_manifest(path: Path) -> Manifest:
    """Reads a manifest and checks it against plugin-manifest/schema.json."""
    path = path.resolve(strict=True)
    members = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    if not isinstance(members, dict):
        raise _Unusable("it is not a JSON object")
    version = members.get("manifest_version")
    if isinstance(version, bool) or version != 1:
        raise _Unusable(f"manifest_version is {version!r}; this host reads version 1")
    for member, pattern in _MEMBERS.items():
        value = members.get(member)
        if member not in ("description", "license") and value is None:
            raise _Unusable(f"member {member} is missing")
        if member in members and not (isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL | re.ASCII)):
            raise _Unusable(f"{member} is {value!r}, which is not of the form {pattern}")
    platforms, library = _libraries(members)
    abi_versions = members.get("abi_versions")
    whole = isinstance(abi_versions, list) and all(type(version) is int and 0 < version < 1 << 32 for version in abi_versions)
    if not whole or not abi_versions:
        raise _Unusable(f"abi_versions is {abi_versions!r}, not a list of versions")
    extensions = members.get("extensions", [])
    if not isinstance(extensions, list) or not all(
        isinstance(extension, str) and re.fullmatch(r"[a-z0-9_.]+/[0-9]+", extension) for extension in extensions
    ):
        raise _Unusable(f"extensions is {extensions!r}, not a list of name/revision")
    requires = members.get("requires", {})
    if not isinstance(requires, dict) or not isinstance(requires.get("libtorch", ""), str):
        raise _Unusable(f"requires is {requires!r}, not an object with the text libtorch")
    place = path.parent / library if library else None
    return Manifest(path, members["name"], members["version"], place, members["entry"], abi_versions, platforms)


def _check_usable(manifest: Manifest) -> None:
    """Whether this host can use the plugin."""
    if manifest.platforms and _HERE not in manifest.platforms:
        raise _Unusable(f"it is for {', '.join(manifest.platforms)}; this is {_HERE}")
    if ABI_VERSION not in manifest.abi_versions:
        raise _Unusable(f"it speaks ABI {manifest.abi_versions}; this host speaks ABI {ABI_VERSION}")
    if manifest.library is None or not manifest.library.is_file():
        raise _Unusable(f"its library {manifest.library} is not there")


_MEMBERS = {
    "name": ".+",
    "version": r"[0-9]+\.[0-9]+\.[0-9]+.*",
    "entry": "[A-Za-z_][A-Za-z0-9_]*",
    "description": ".*",
    "license": ".*",
}


_HERE = f"{sys.platform}-{platform.machine()}"


def _libraries(members: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """The platforms that there is a library for (none = any), and the library for this one."""
    library, only = members.get("library"), members.get("platform")
    paths = library if isinstance(library, dict) else {_HERE: library}
    if not paths or not all(isinstance(path, str) and path for path in paths.values()):
        raise _Unusable(f"library is {library!r}, neither a path nor an object of paths by platform")
    named = ([only] if "platform" in members else []) + (list(paths) if isinstance(library, dict) else [])
    for name in named:
        if name not in _PLATFORMS:
            raise _Unusable(f"platform {name!r} is none of {', '.join(_PLATFORMS)}")
    if isinstance(library, dict):
        return [name for name in sorted(paths) if only in (None, name)], paths.get(_HERE)
    return [only] if only else [], library


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_libtorch(library: Path) -> None:
    """Raises RUNTIME_CONFLICT if the process has mapped another libtorch than the library would load: two crash a process."""
    file = "libtorch_cpu.so"
    searched = [library.parent, library.parent / "libtorch/lib"]  # its RPATH
    if not _is_privileged():
        searched += [Path(place) for place in os.environ.get("LD_LIBRARY_PATH", "").split(":") if place]
    wanted = next((place / file for place in searched if (place / file).exists()), None)
    if wanted is None:
        return  # then the dynamic linker takes the mapped one, or says what is missing
    wanted = wanted.resolve()
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        mapped = Path(line[line.index("/") :].removesuffix(" (deleted)")) if "/" in line else None
        if mapped is not None and mapped.name == file and mapped != wanted:
            raise Error(
                Status.RUNTIME_CONFLICT,
                f"this process already uses {mapped}, and {library} would bring {wanted}: two copies of libtorch in one process "
                f"crash it. Let both use the same file: make {library.parent / 'libtorch'} a link to {mapped.parent.parent}, if "
                "that is of the version that cinetomo was built with; or run cinetomo in a process of its own",
            )


def load(place: str | os.PathLike | None = None) -> Plugin:
    """Loads the library for the rest of the process: of a manifest, of a directory of manifests, the first along the search path,
    or a shared library itself (a name with `.so` in it)."""
    if place is not None and ".so" in Path(place).suffixes:
        return Plugin(Path(place).resolve())
    manifest = find(place).manifest
    assert manifest.library is not None  # as it can be used
    return Plugin(manifest.library, manifest.entry)


# --- The library ---


_LOGGER = logging.getLogger("cinetomo")


class Plugin:
    """The library in this process, from `load`. It stays to the end."""

    def __init__(self, library: Path, entry: str = "cinetomo_get_api"):
        _check_libtorch(library)
        try:
            loaded = ctypes.CDLL(os.fspath(library), mode=os.RTLD_NOW | os.RTLD_LOCAL)
            get_api = loaded[entry]
        except OSError as reason:
            raise Error(Status.IO, str(reason)) from None
        except AttributeError as reason:
            raise Error(Status.UNSUPPORTED, str(reason)) from None
        get_api.restype, get_api.argtypes = ctypes.POINTER(_Api), [c_uint32]
        table = get_api(ABI_VERSION)
        if not table or table.contents.struct_size < ctypes.sizeof(_Api):
            found = f"a table of {table.contents.struct_size} bytes" if table else "none"
            raise Error(
                Status.UNSUPPORTED,
                f"{library} does not serve ABI {ABI_VERSION} as this program knows it: expected a table of at least "
                f"{ctypes.sizeof(_Api)} bytes, got {found}",
            )
        self.library = library
        self._api = table.contents

    @property
    def version(self) -> str:
        return self._api.version().decode()

    def runtime_info(self) -> RuntimeInfo:
        info = self._defaults(_RuntimeInfo, self._api.runtime_info_init)
        self._call(self._api.runtime_info_get, byref(info))
        return _record(RuntimeInfo, info)

    def context(
        self,
        device: Device = "auto",
        *,
        device_index: int = 0,
        n_threads: int = 0,
        precision: Precision = "f32",
        log: Callable[[LogLevel, str], object] | logging.Logger | None = _LOGGER,
        log_level: LogLevel = "warn",
    ) -> Context:
        """Where work runs. `log` receives a level and a line, or is a logger; what it raises is dropped."""
        return Context(self, device, device_index, n_threads, precision, log, log_level)

    def cancel(self) -> Cancel:
        """A flag that stops calls."""
        return Cancel(self, self._make(self._api.cancel_new), self._api.cancel_free)

    def weights_inspect(self, path: str | os.PathLike) -> dict[str, Any]:
        """What a checkpoint holds, without loading it; see cinetomo_weights_inspect."""
        text = self._fetch(np.uint8, lambda *to: self._call(self._api.weights_inspect, _text(path), *to))
        return json.loads(text.tobytes().rstrip(b"\0"))

    def evaluate(self, probabilities: Any, labels: Any) -> Evaluation:
        """Compares scores [n, n_classes] with labels [n]; -1 leaves one out."""
        scores, truth = _rows(probabilities, "probabilities"), _integers(labels, "labels")
        n_classes = scores.shape[1]
        metrics = self._defaults(_Metrics, self._api.metrics_init)
        confusion = np.empty((n_classes, n_classes), np.int64)
        n = c_size_t()
        self._call(
            self._api.evaluate, _address(scores), scores.size, _address(truth), truth.size, n_classes, byref(metrics),
            _address(confusion), confusion.size, byref(n),
        )  # fmt: skip
        return _record(Evaluation, metrics, confusion=confusion)

    def evaluate_classes(self, probabilities: Any, labels: Any) -> np.ndarray:
        """Class by class: a structured array with the fields of cinetomo_class_metrics."""
        return self._compare(self._api.evaluate_classes, _ClassMetrics, probabilities, labels)

    def evaluate_roc(self, probabilities: Any, labels: Any, class_index: int) -> np.ndarray:
        """The ROC curve of a class against the rest: a structured array with the fields of cinetomo_roc_point. Empty if there is
        none."""
        return self._compare(self._api.evaluate_roc, _RocPoint, probabilities, labels, class_index)

    def evaluate_reliability(self, probabilities: Any, labels: Any, n_bins: int = 15) -> np.ndarray:
        """The reliability diagram: a structured array with the fields of cinetomo_reliability_bin."""
        return self._compare(self._api.evaluate_reliability, _ReliabilityBin, probabilities, labels, n_bins)

    def split(self, labels: Any, groups: Any = None, **options: Unpack[SplitOptions]) -> dict[Part, NDArray[np.intp]]:
        """The indices of the subtomograms to train on, to choose by and to measure on; see cinetomo_split. `groups` names the
        tomogram of each."""
        truth = _integers(labels, "labels")
        tomograms = None if groups is None else _integers(groups, "groups")
        if tomograms is not None and tomograms.size != truth.size:
            raise Error(Status.INVALID_ARGUMENT, f"{tomograms.size} groups for {truth.size} labels")
        raw = _fill(self._defaults(_SplitOptions, self._api.split_options_init), SplitOptions, options)
        parts = self._fetch(
            np.int32,
            lambda *to: self._call(self._api.split, _address(truth), _address(tomograms), truth.size, byref(raw), *to),
        )
        return {part: np.flatnonzero(parts == number) for number, part in enumerate(get_args(Part)) if part != "none"}

    def _compare(self, function: Any, kind: Any, probabilities: Any, labels: Any, *more: int) -> np.ndarray:
        scores, truth = _rows(probabilities, "probabilities"), _integers(labels, "labels")
        arguments = (_address(scores), scores.size, _address(truth), truth.size, scores.shape[1], *more)
        return self._fetch(np.dtype(kind), lambda *to: self._call(function, *arguments, *to))

    def _call(self, function: Any, *arguments: Any) -> None:
        """Calls a function that stores an error through its last argument, and raises that."""
        error = c_void_p()
        status = function(*arguments, byref(error))
        if status != Status.OK:
            message = self._api.error_message(error) if error else self._api.status_name(status)
            self._api.error_free(error)
            raise Error(status, message.decode())

    def _make(self, function: Any, *arguments: Any) -> int | None:
        """Calls a function that stores a new handle before the error."""
        handle = c_void_p()
        self._call(function, *arguments, byref(handle))
        return handle.value

    def _fetch(self, dtype: Any, function: Any) -> np.ndarray:
        """Calls `function(buffer, capacity, length)` for the length, then for the values."""
        n = c_size_t()
        function(None, 0, byref(n))
        values = np.empty(n.value, dtype)
        if n.value:
            function(_address(values), values.size, byref(n))
        return values

    def _extension(self, name: str, kind: Any) -> Any:
        table = self._api.get_extension(name.encode())
        if not table or c_size_t.from_address(table).value < ctypes.sizeof(kind):
            raise Error(Status.UNSUPPORTED, f"this cinetomo library has no extension {name}, or an older one")
        return kind.from_address(table)

    def _defaults(self, kind: Any, init: Any) -> Any:
        """A struct filled with its defaults."""
        struct = kind()
        status = init(byref(struct), ctypes.sizeof(struct))
        if status != Status.OK:
            raise Error(
                status, f"the library is older than this program: it does not know {kind.__name__} of {ctypes.sizeof(kind)} bytes"
            )
        return struct


class Context(_Handle):
    """Device, threads and log, and the maker of models; from `Plugin.context`. Models live on without it."""

    def __init__(
        self, plugin: Plugin, device: Device, device_index: int, n_threads: int, precision: Precision, log: Any, log_level: LogLevel
    ):
        api = plugin._api
        options = plugin._defaults(_ContextOptions, api.context_options_init)
        options.device = _index(Device, device, "device")
        options.device_index, options.n_threads = device_index, n_threads
        options.precision = _index(Precision, precision, "precision")
        options.log_level = _index(LogLevel, log_level, "log_level")
        self._sink = _sink(log)
        if self._sink is not None:
            options.log = self._sink
        super().__init__(plugin, plugin._make(api.context_new, byref(options)), api.context_free)

    def model_from_video(
        self,
        checkpoint: str | os.PathLike,
        class_names: Sequence[str],
        *,
        backbone: str = "",
        seed: int = 0,
        dropout: float = 0.0,
        preprocess: PreprocessOptions | None = None,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
    ) -> Model:
        """A network whose weights come from a video checkpoint. Label i means the i-th name."""
        options, _keep = self._options(class_names, backbone, seed, dropout, preprocess)
        with _Follow(progress, cancel) as hooks:
            handle = self._plugin._make(self._plugin._api.model_from_video, self._handle, _text(checkpoint), byref(options), hooks)
        return Model(self._plugin, self._sink, handle)

    def model_random(
        self,
        class_names: Sequence[str],
        *,
        backbone: str = "",
        seed: int = 0,
        dropout: float = 0.0,
        preprocess: PreprocessOptions | None = None,
    ) -> Model:
        """A network whose weights are random numbers: the baseline."""
        options, _keep = self._options(class_names, backbone, seed, dropout, preprocess)
        return Model(self._plugin, self._sink, self._plugin._make(self._plugin._api.model_random, self._handle, byref(options)))

    def model_load(self, path: str | os.PathLike) -> Model:
        """A model from a file that `Model.save` wrote."""
        return Model(self._plugin, self._sink, self._plugin._make(self._plugin._api.model_load, self._handle, _text(path)))

    def pick(
        self,
        tomogram: Any,
        *,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[PickOptions],
    ) -> Picks:
        """Picks particles by difference of Gaussians: extension cinetomo.pick/1. The tomogram is a `Tomogram`, a `Volume` or an
        array [z, y, x]; its contrast must be known."""
        plugin, table = self._plugin, self._extension("cinetomo.pick/1", _PickApi)
        raw = _fill(plugin._defaults(_PickOptions, table.pick_options_init), PickOptions, options)
        positions, scores = np.empty((raw.n_max, 3), np.float32), np.empty(raw.n_max, np.float32)
        n = c_size_t()
        with _Source(tomogram) as source, _Follow(progress, cancel) as hooks:
            plugin._call(
                table.pick, self._handle, source, byref(raw), hooks, _address(positions), _address(scores), raw.n_max, byref(n)
            )
        return Picks(positions[: n.value], scores[: n.value])

    def extract(
        self,
        tomogram: Any,
        positions: Any,
        *,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[ExtractOptions],
    ) -> Boxes:
        """Cuts boxes out around positions [n, 3], z, y, x in voxels: extension cinetomo.pick/1."""
        plugin, table = self._plugin, self._extension("cinetomo.pick/1", _PickApi)
        raw = _fill(plugin._defaults(_ExtractOptions, table.extract_options_init), ExtractOptions, options)
        points = np.ascontiguousarray(positions, np.float32)
        if points.ndim != 2 or points.shape[1] != 3:
            raise Error(Status.INVALID_ARGUMENT, f"positions have shape {points.shape}; expected [n, 3]")
        voxels = np.empty((len(points), *[max(raw.box_size, 0)] * 3), np.float32)
        indices = np.empty(len(points), np.int64)
        n = c_size_t()
        with _Source(tomogram) as source, _Follow(progress, cancel) as hooks:
            plugin._call(
                table.extract, self._handle, source, _address(points), len(points), byref(raw), hooks, _address(voxels),
                voxels.size, byref(n), _address(indices), indices.size,
            )  # fmt: skip
        n_boxes = n.value // raw.box_size**3
        return Boxes(voxels[:n_boxes], indices[:n_boxes])

    def tsne(
        self,
        embeddings: Any,
        *,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[TsneOptions],
    ) -> NDArray[np.float32]:
        """Embeddings [n, n_features] as a map in the plane [n, 2], neighbours together: extension cinetomo.project2d/1."""
        plugin, table = self._plugin, self._extension("cinetomo.project2d/1", _Project2dApi)
        raw = _fill(plugin._defaults(_TsneOptions, table.options_init), TsneOptions, options)
        rows = _rows(embeddings, "embeddings")
        positions = np.empty((len(rows), 2), np.float32)
        n = c_size_t()
        with _Follow(progress, cancel) as hooks:
            plugin._call(
                table.tsne, self._handle, _address(rows), rows.size, rows.shape[1], byref(raw), hooks, _address(positions),
                positions.size, byref(n),
            )  # fmt: skip
        return positions

    def separation(self, embeddings: Any, labels: Any, n_neighbors: int = 5) -> Separation:
        """How well classes are apart in embeddings; so many neighbours vote."""
        plugin, table = self._plugin, self._extension("cinetomo.project2d/1", _Project2dApi)
        rows, truth = _rows(embeddings, "embeddings"), _integers(labels, "labels")
        raw = plugin._defaults(_Separation, table.separation_init)
        plugin._call(
            table.separation, self._handle, _address(rows), rows.size, rows.shape[1], _address(truth), truth.size, n_neighbors,
            byref(raw),
        )  # fmt: skip
        return _record(Separation, raw)

    def _extension(self, name: str, kind: Any) -> Any:
        return self._plugin._extension(name, kind)

    def synthetic(self) -> Synthetic:
        """The extension cinetomo.synthetic/1: simulated subtomograms."""
        return Synthetic(self)

    def _options(
        self, class_names: Sequence[str], backbone: str, seed: int, dropout: float, preprocess: PreprocessOptions | None
    ) -> tuple[Any, Any]:
        """The struct, and what it points to."""
        api = self._plugin._api
        names = (c_char_p * len(class_names))(*(name.encode() for name in class_names))
        changes = dict(preprocess or {})
        steps = self._plugin._defaults(_Preprocess, api.preprocess_init)
        api.preprocess_preset(byref(steps), ctypes.sizeof(steps), _index(Preset, str(changes.pop("preset", "default")), "preset"))
        _fill(steps, PreprocessOptions, changes)
        options = self._plugin._defaults(_ModelOptions, api.model_options_init)
        options.backbone = backbone.encode() or None
        options.class_names, options.n_classes = ctypes.addressof(names), len(class_names)
        options.preprocess = ctypes.addressof(steps)
        options.seed, options.dropout = seed, dropout
        return options, (names, steps)


def _sink(log: Any) -> Any:
    """The function that the library hands log lines to; models keep it, as the library may call it as long as they live."""
    if log is None:
        return None
    numbers = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG, "trace": 5}

    def receive(_: Any, number: int, line: bytes) -> None:
        try:
            level, text = get_args(LogLevel)[number], line.decode(errors="replace")
            if isinstance(log, logging.Logger):
                log.log(numbers[level], "%s", text)
            else:
                log(level, text)
        except Exception:  # must not unwind through the library
            pass

    return _LogSink(receive)


class Model(_Handle):
    """A network with its preprocessing and class names. It never changes: fine-tuning returns a new one."""

    def __init__(self, plugin: Plugin, sink: Any, handle: int | None):
        super().__init__(plugin, handle, plugin._api.model_free)
        self._sink = sink

    def info(self) -> ModelInfo:
        raw = self._plugin._defaults(_ModelInfo, self._plugin._api.model_info_init)
        self._plugin._call(self._plugin._api.model_info_get, self._handle, byref(raw))
        return _record(
            ModelInfo,
            raw,
            class_names=[raw.class_names[i].decode() for i in range(raw.n_classes)],
            stage_names=[raw.stage_names[i].decode() for i in range(raw.n_stages)],
            input_size=tuple(raw.input_size),
            contrast=get_args(Contrast)[raw.contrast],
            metadata=json.loads(raw.metadata_json),
        )

    def fine_tune(
        self,
        subtomograms: Any,
        labels: Any,
        *,
        preset: Preset = "default",
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[FineTuneOptions],
    ) -> Model:
        """Trains on subtomograms and their labels, counted from 0 (-1 = none), and returns a new model. `progress=True` shows a
        bar; a function receives `Progress` and stops the call by returning False. Options are those of
        cinetomo_fine_tune_options."""
        api = self._plugin._api
        raw = self._plugin._defaults(_FineTuneOptions, api.fine_tune_options_init)
        api.fine_tune_options_preset(byref(raw), ctypes.sizeof(raw), _index(Preset, preset, "preset"))
        simple: dict[str, Any] = dict(options)
        keep = []
        if "milestones" in simple:
            milestones = _integers(simple.pop("milestones"), "milestones")
            raw.milestones, raw.n_milestones = _address(milestones), milestones.size
            keep.append(milestones)
        if "calibration" in simple:
            calibration = self._calibration_options(simple.pop("calibration"))
            raw.calibration = ctypes.addressof(calibration)
            keep.append(calibration)
        if "checkpoint" in simple:
            simple["checkpoint"] = _text(simple["checkpoint"])
        if "regularizer_stages" in simple:
            names = simple["regularizer_stages"]
            if isinstance(names, str):
                raise Error(
                    Status.INVALID_ARGUMENT, f"regularizer_stages is the text {names!r}; expected several, such as [{names!r}]"
                )
            simple["regularizer_stages"] = ",".join(names).encode()
        _fill(raw, FineTuneOptions, simple)
        return self._train("fine_tune", subtomograms, labels, raw, progress, cancel)

    def calibrate(
        self,
        subtomograms: Any,
        labels: Any,
        *,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[CalibrationOptions],
    ) -> Model:
        """Learns a temperature and thresholds on subtomograms that it was not trained on, and returns a new model."""
        raw = self._calibration_options(options)
        return self._train("calibrate", subtomograms, labels, raw, progress, cancel)

    def classify(
        self,
        subtomograms: Any,
        *,
        out: NDArray[np.float32] | None = None,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[np.float32]:
        """Probabilities [n, n_classes], written to `out` if that is given: a C-contiguous array of so many float32."""
        return self._ask("classify", subtomograms, out, progress, cancel)

    def embed(
        self,
        subtomograms: Any,
        *,
        out: NDArray[np.float32] | None = None,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[np.float32]:
        """Embeddings [n, n_features]: the pooled features that the head sees."""
        return self._ask("embed", subtomograms, out, progress, cancel)

    def predict(
        self,
        subtomograms: Any,
        reject: Iterable[Reject] = (),
        *,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
    ) -> Predictions:
        """The class of each subtomogram, or -1 where one of the rules does not accept it."""
        volume, rules = _volume(subtomograms), _flags(Reject, reject, "reject")
        n = len(volume)
        result = Predictions(
            np.empty(n, np.int32),
            np.empty((n, len(self.info().class_names)), np.float32),
            np.empty(n, np.float32) if rules & 1 << get_args(Reject).index("distance") else None,
        )
        raw = self._plugin._defaults(_Predictions, self._plugin._api.predictions_init)
        for name, array in result._asdict().items():
            if array is not None:
                setattr(raw, name, _address(array))
                setattr(raw, f"{name}_capacity", array.size)
        with _Follow(progress, cancel) as hooks:
            self._plugin._call(self._plugin._api.model_predict, self._handle, byref(volume._raw), rules, hooks, byref(raw))
        return result

    def grad_cam(
        self,
        subtomograms: Any,
        *,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[GradCamOptions],
    ) -> NDArray[np.float32]:
        """Where in each box the evidence for a class lies [n, z, y, x]; see cinetomo_model_grad_cam."""
        api = self._plugin._api
        simple: dict[str, Any] = dict(options)
        if "stage" in simple:
            simple["stage"] = simple["stage"].encode()
        raw = _fill(self._plugin._defaults(_GradCamOptions, api.grad_cam_options_init), GradCamOptions, simple)
        volume, n = _volume(subtomograms), c_size_t()
        maps = np.empty(tuple(volume._raw.shape), np.float32)
        with _Follow(progress, cancel) as hooks:
            self._plugin._call(
                api.model_grad_cam, self._handle, byref(volume._raw), byref(raw), hooks, _address(maps), maps.size, byref(n)
            )
        return maps

    def confidence(self) -> Confidence:
        """Its temperature and thresholds, and what they rest on."""
        raw = self._plugin._defaults(_Confidence, self._plugin._api.confidence_init)
        self._plugin._call(self._plugin._api.model_confidence_get, self._handle, byref(raw))
        return _record(Confidence, raw, probability=_record(Threshold, raw.probability), distance=_record(Threshold, raw.distance))

    def memory_estimate(self, box_size: Sequence[int], stage: Stage = "classify", batch_size: int = 0) -> int:
        """Bytes that work on boxes of that size (z, y, x) will take at once; see cinetomo_memory_estimate."""
        n_bytes = c_uint64()
        number = _index(Stage, stage, "stage")
        self._plugin._call(self._plugin._api.memory_estimate, self._handle, *box_size, batch_size, number, byref(n_bytes))
        return n_bytes.value

    def save(self, path: str | os.PathLike) -> None:
        """Writes the model to a file; one of that name is replaced once the new one is whole."""
        self._plugin._call(self._plugin._api.model_save, self._handle, _text(path))

    def _calibration_options(self, options: Mapping[str, Any]) -> Any:
        raw = self._plugin._defaults(_CalibrationOptions, self._plugin._api.calibration_options_init)
        return _fill(raw, CalibrationOptions, options)

    def _function(self, name: str, subtomograms: Any) -> tuple[Any, Volume | Dataset]:
        """The library's function of that name for such subtomograms, and these as it takes them."""
        if not isinstance(subtomograms, Dataset):
            return getattr(self._plugin._api, f"model_{name}"), _volume(subtomograms)
        table = self._plugin._extension("cinetomo.dataset/1", _DatasetApi)
        if not hasattr(table, name):
            raise Error(Status.UNSUPPORTED, f"cinetomo.dataset/1 has no {name}; give it chunks of the set as arrays")
        return getattr(table, name), subtomograms

    def _train(self, function: str, subtomograms: Any, labels: Any, options: Any, progress: Any, cancel: Any) -> Model:
        function, boxes = self._function(function, subtomograms)
        truth = _integers(labels, "labels")
        with _Batch(boxes) as batch, _Follow(progress, cancel) as hooks:
            handle = self._plugin._make(function, self._handle, batch, _address(truth), truth.size, byref(options), hooks)
        return Model(self._plugin, self._sink, handle)

    def _ask(self, function: str, subtomograms: Any, out: Any, progress: Any, cancel: Any) -> NDArray[np.float32]:
        """Calls a function that gives each subtomogram a row of numbers."""
        function, boxes = self._function(function, subtomograms)
        n = c_size_t()
        self._plugin._call(function, self._handle, byref(boxes._raw), None, None, 0, byref(n))
        if out is None:
            out = np.empty((len(boxes), n.value // len(boxes)), np.float32)
        elif out.dtype != np.float32 or not out.flags.c_contiguous or not out.flags.writeable:
            raise Error(Status.INVALID_ARGUMENT, f"out is {out.dtype}; expected float32, C-contiguous and writeable")
        with _Batch(boxes) as batch, _Follow(progress, cancel) as hooks:
            self._plugin._call(function, self._handle, batch, hooks, _address(out), out.size, byref(n))
        return out


class Synthetic:
    """Simulated subtomograms; from `Context.synthetic`."""

    def __init__(self, context: Context):
        self._context = context
        self._table = context._extension("cinetomo.synthetic/1", _SyntheticApi)

    @property
    def phantom_names(self) -> list[str]:
        """The built-in phantoms, in the order of their labels."""
        return [self._table.phantom_name(i).decode() for i in range(self._table.n_phantoms())]

    def phantom_density(self, phantom_index: int, box_size: int = 32, voxel_size: float = 10.0) -> NDArray[np.float32]:
        """The density of a built-in phantom [z, y, x], bright on zero."""
        density = np.empty((box_size, box_size, box_size), np.float32)
        plugin, n = self._context._plugin, c_size_t()
        plugin._call(self._table.phantom_density, phantom_index, box_size, voxel_size, _address(density), density.size, byref(n))
        return density

    def simulate(
        self,
        labels: Any,
        *,
        densities: Any = None,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        preset: Literal["default", "liu_2020"] = "default",
        **options: Unpack[SyntheticOptions],
    ) -> Simulated:
        """One subtomogram [n, z, y, x] for each label, of the built-in phantoms or of densities [n, z, y, x]; particles
        [n, 1 + n_neighbours], the target first."""
        truth, raw = _integers(labels, "labels"), self._options(preset, options)
        voxels = np.empty((truth.size, *[max(raw.box_size, 0)] * 3), np.float32)
        particles = np.zeros((truth.size, 1 + max(raw.n_neighbours, 0)), np.dtype(_SyntheticParticle))
        return self._simulate(self._table.simulate_particles, densities, truth, (byref(raw),), voxels, particles, progress, cancel)

    def simulate_tomogram(
        self,
        labels: Any,
        shape: Sequence[int],
        *,
        densities: Any = None,
        progress: Callable[[Progress], object] | bool | None = None,
        cancel: Cancel | None = None,
        preset: Literal["default", "liu_2020"] = "default",
        **options: Unpack[SyntheticOptions],
    ) -> Simulated:
        """A tomogram of shape z, y, x with one particle for each label, in that order."""
        truth, raw = _integers(labels, "labels"), self._options(preset, options)
        edges = (c_int64 * 3)(*shape)
        voxels, particles = np.empty(tuple(shape), np.float32), np.zeros(truth.size, np.dtype(_SyntheticParticle))
        more = (edges, byref(raw))
        return self._simulate(self._table.simulate_tomogram, densities, truth, more, voxels, particles, progress, cancel)

    def _options(self, preset: str, options: Mapping[str, Any]) -> Any:
        inits = {"default": self._table.options_init, "liu_2020": self._table.options_init_liu_2020}
        _index(Literal["default", "liu_2020"], preset, "preset")
        return _fill(self._context._plugin._defaults(_SyntheticOptions, inits[preset]), SyntheticOptions, options)

    def _simulate(
        self, function: Any, densities: Any, labels: Any, options: tuple, voxels: Any, particles: Any, progress: Any, cancel: Any
    ) -> Simulated:
        context, volume = self._context, None if densities is None else _volume(densities)
        n = c_size_t()
        with _Follow(progress, cancel) as hooks:
            context._plugin._call(
                function, context._handle, volume and byref(volume._raw), _address(labels), labels.size, *options, hooks,
                _address(voxels), voxels.size, byref(n), _address(particles), particles.size,
            )  # fmt: skip
        return Simulated(voxels, particles)
