"""What examples/python/cinetomo promises: nothing is copied, everything is checked, exceptions come out as they went in."""

import contextlib
import gc
import io
import logging
import sys
import tempfile
import threading
import unittest
import weakref
from pathlib import Path
from unittest import mock

import cinetomo
import numpy as np

PLUGIN = cinetomo.load()
CONTEXT = PLUGIN.context("cpu", n_threads=1)
MODEL = CONTEXT.model_random(["a", "b"], seed=7)


def boxes(n=4, dtype=np.float32):
    return (np.arange(n * 16**3) * 7919 % 101).astype(dtype).reshape(n, 16, 16, 16)


LABELS = [0, 1, 0, 1]


class FromInterface:
    """Memory behind an array interface and nothing else."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


class FromCapsule:
    """Memory behind DLPack and nothing else; tells when it is given back."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self):
        return self.array.__dlpack__()


class Voxels(unittest.TestCase):
    def test_memory_is_read_in_place(self):
        voxels = boxes()
        for seed, owner in enumerate((voxels, FromInterface(voxels), FromCapsule(voxels))):
            volume = cinetomo.Volume(owner)
            self.assertEqual(volume._raw.data, voxels.ctypes.data)
            self.assertEqual(len(volume), 4)
            before = MODEL.classify(volume)
            voxels[0] = np.random.default_rng(seed).random((16, 16, 16))
            self.assertFalse(np.array_equal(MODEL.classify(volume), before))

    def test_every_interface_gives_the_same_scores(self):
        voxels = boxes()
        scores = MODEL.classify(voxels)
        self.assertEqual((scores.shape, scores.dtype), ((4, 2), np.float32))
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
        for owner in (FromInterface(voxels), FromCapsule(voxels), cinetomo.Volume(voxels)):
            np.testing.assert_array_equal(MODEL.classify(owner), scores)

    def test_strides_are_followed(self):
        voxels = boxes()
        scores = MODEL.classify(voxels)
        wide = np.zeros((4, 16, 20, 32), np.float32)
        wide[:, :, 2:18, ::2] = voxels
        turned = np.ascontiguousarray(voxels.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0)
        for view in (wide[:, :, 2:18, ::2], turned, np.asfortranarray(voxels)):
            self.assertFalse(view.flags.c_contiguous)
            for owner in (view, FromInterface(view), FromCapsule(view)):
                np.testing.assert_array_equal(MODEL.classify(owner), scores)

    def test_one_subtomogram_needs_no_batch_axis(self):
        voxels = boxes()
        np.testing.assert_array_equal(MODEL.classify(voxels[1]), MODEL.classify(voxels[1:2]))
        np.testing.assert_array_equal(MODEL.classify(voxels[1].T), MODEL.classify(voxels.transpose(0, 3, 2, 1)[1:2]))

    def test_every_type_of_voxel(self):
        for dtype in (np.float16, np.uint8, np.int8, np.uint16, np.int16):
            for owner in (boxes(dtype=dtype), FromCapsule(boxes(dtype=dtype))):
                np.testing.assert_array_equal(MODEL.classify(owner), MODEL.classify(boxes()), str(dtype))

    def test_what_is_no_volume_is_refused(self):
        structured = np.zeros(4 * 16**3, [("voxel", np.float32), ("flag", np.uint8)])["voxel"].reshape(4, 16, 16, 16)
        cases = [
            (boxes(dtype=np.float64), "f8"),
            (boxes(dtype=">f4"), "byte order"),
            (boxes().astype(bool), "b1"),
            (boxes()[:, :, ::-1], "stride"),
            (structured, "multiples"),
            (boxes().reshape(-1), "[n, z, y, x]"),
            (boxes()[:0], "shape"),
            ([[1.0]], "list"),
            (np.full((2, 16, 16, 16), np.nan, np.float32), "NaN"),
        ]
        for voxels, words in cases:
            with self.assertRaises(cinetomo.Error) as caught:
                MODEL.classify(voxels)
            self.assertIn(words, str(caught.exception))
            status = cinetomo.Status.NON_FINITE if words == "NaN" else cinetomo.Status.INVALID_ARGUMENT
            self.assertIs(caught.exception.status, status, words)

    def test_a_capsule_is_given_back(self):
        class Counted(np.ndarray):
            pass

        voxels = boxes().view(Counted)
        gone = weakref.ref(voxels)
        volume = cinetomo.Volume(FromCapsule(voxels))
        del voxels
        gc.collect()
        self.assertIsNotNone(gone(), "the volume does not keep its voxels")
        MODEL.classify(volume)
        del volume
        gc.collect()
        self.assertIsNone(gone(), "the volume's voxels leak")

    def test_metadata_reaches_the_model(self):
        volume = cinetomo.Volume(boxes(), voxel_size=13.5, contrast="dark", beam_axis="y")
        tuned = MODEL.fine_tune(volume, LABELS, n_epochs=0, head="probe")
        self.assertEqual((tuned.info().voxel_size, tuned.info().contrast), (13.5, "dark"))
        with self.assertRaisesRegex(cinetomo.Error, "contrast is 'black'; expected one of unknown, dark, bright"):
            cinetomo.Volume(boxes(), contrast="black")


class Calls(unittest.TestCase):
    def test_results_go_to_the_callers_array(self):
        out = np.empty((4, 2), np.float32)
        self.assertIs(MODEL.classify(boxes(), out=out), out)
        np.testing.assert_array_equal(out, MODEL.classify(boxes()))
        for wrong in (np.empty((4, 2)), np.empty((4, 4), np.float32)[:, ::2]):
            with self.assertRaisesRegex(cinetomo.Error, "expected float32, C-contiguous"):
                MODEL.classify(boxes(), out=wrong)
        with self.assertRaises(cinetomo.Error) as caught:
            MODEL.classify(boxes(), out=np.empty((3, 2), np.float32))
        self.assertIs(caught.exception.status, cinetomo.Status.BUFFER_TOO_SMALL)

    def test_a_training_can_be_told_everything(self):
        with tempfile.TemporaryDirectory() as directory:
            checkpoint = Path(directory) / "training ü.safetensors"
            tuned = MODEL.fine_tune(
                boxes(8), LABELS * 2, n_epochs=2, batch_size=4, optimizer="sgd", schedule="step", milestones=[1], gamma=0.5,
                augment=["mirror", "noise"], validation_fraction=0.5, batch_norm="frozen", head="keep", select_best=False,
                regularizer="l2_sp", balance="weights", checkpoint=checkpoint, seed=3,
                calibration={"coverage": 0.5, "reject": ["probability"]},
            )  # fmt: skip
            self.assertTrue(checkpoint.exists())
            saved = Path(directory) / "tuned ü.safetensors"
            tuned.save(saved)
            np.testing.assert_array_equal(CONTEXT.model_load(saved).classify(boxes()), tuned.classify(boxes()))
        said = str(tuned.info().metadata)
        for word in ("sgd", "step", "l2"):
            self.assertIn(word, said.lower())
        confidence = tuned.confidence()
        self.assertEqual(confidence.n_calibration, 4)
        predictions = tuned.predict(boxes(8), ["probability"])
        np.testing.assert_array_equal(predictions.probabilities, tuned.classify(boxes(8)))
        highest = predictions.probabilities.max(axis=1)
        np.testing.assert_array_equal(predictions.labels == -1, highest < confidence.probability.value)
        self.assertIsNone(predictions.distances)

    def test_distances(self):
        tuned = MODEL.fine_tune(
            boxes(8), LABELS * 2, n_epochs=0, validation_fraction=0.25, calibration={"reject": ["probability", "distance"]}
        )
        predictions = tuned.predict(boxes(8), ["distance"])
        self.assertEqual(predictions.distances.shape, (8,))
        np.testing.assert_array_equal(predictions.labels == -1, predictions.distances > tuned.confidence().distance.value)

    def test_boxes_that_are_read_train_as_those_in_memory(self):
        with tempfile.TemporaryDirectory() as directory:
            np.save(Path(directory) / "boxes.npy", boxes())
            mapped = np.load(Path(directory) / "boxes.npy", mmap_mode="r")
            options = {"n_epochs": 1, "head": "probe", "validation_fraction": 0.5}
            expected = MODEL.fine_tune(cinetomo.Volume(boxes(), voxel_size=8.0), LABELS, **options)
            for data in (mapped, list(boxes())):
                data = cinetomo.Dataset(data, voxel_size=8.0, identity="set")
                self.assertEqual(len(data), 4)
                tuned = MODEL.fine_tune(data, LABELS, **options)
                np.testing.assert_array_equal(tuned.classify(data), expected.classify(boxes()))
                self.assertEqual(tuned.info().voxel_size, 8.0)
                calibrated = tuned.calibrate(data, LABELS)
                self.assertEqual(calibrated.confidence().temperature, expected.calibrate(boxes(), LABELS).confidence().temperature)

    def test_what_reading_boxes_raises_comes_out(self):
        class Boxes:
            shape = (4, 16, 16, 16)

            def __getitem__(self, index):
                raise LookupError(f"box {index} is gone")

        with self.assertRaisesRegex(LookupError, "is gone"):
            MODEL.fine_tune(cinetomo.Dataset(Boxes()), LABELS, n_epochs=1)
        ragged = [*boxes(3), np.zeros((16, 16, 15))]
        with self.assertRaisesRegex(cinetomo.Error, r"box 3 has shape \[16, 16, 15\]; expected \[16, 16, 16\]"):
            MODEL.classify(cinetomo.Dataset(ragged))
        with self.assertRaisesRegex(cinetomo.Error, r"boxes have shape \[16, 16, 16\]"):
            cinetomo.Dataset(boxes()[0])
        with self.assertRaisesRegex(cinetomo.Error, "has no embed"):
            MODEL.embed(cinetomo.Dataset(boxes()))

    def test_delta(self):
        reports = []
        tuned = MODEL.fine_tune(
            boxes(), LABELS, n_epochs=1, regularizer="delta", regularizer_strength=0.5, regularizer_stages=["Mixed_5c"],
            progress=reports.append,
        )  # fmt: skip
        record = tuned.info().metadata["history"][-1]["config"]
        self.assertEqual((record["regularizer"], record["regularizer_stages"]), ("delta", ["Mixed_5c"]))
        self.assertGreater(sum(report.stage == "probe" for report in reports), 1024)
        with self.assertRaisesRegex(cinetomo.Error, "expected several"):
            MODEL.fine_tune(boxes(), LABELS, regularizer="delta", regularizer_stages="Mixed_5c")

    def test_wrong_options_are_named(self):
        for options, words in [
            ({"optimiser": "adam"}, "no option 'optimiser'"),
            ({"optimizer": "lion"}, "optimizer is 'lion'; expected one of adam, adam_w, sgd"),
            ({"augment": "mirror"}, "expected several"),
            ({"n_epochs": -1}, "n_epochs"),
        ]:
            with self.assertRaisesRegex((cinetomo.Error, TypeError), words):
                MODEL.fine_tune(boxes(), LABELS, **options)

    def test_labels_are_whole_numbers(self):
        for labels in ([0.0, 1.0, 0.0, 1.0], [[0, 1, 0, 1]], [0, 1, 0, 1 << 40]):
            with self.assertRaises(cinetomo.Error) as caught:
                MODEL.fine_tune(boxes(), labels, n_epochs=0)
            self.assertIs(caught.exception.status, cinetomo.Status.INVALID_ARGUMENT)
        with self.assertRaisesRegex(cinetomo.Error, "label"):
            MODEL.fine_tune(boxes(), [0, 1], n_epochs=0)

    def test_models_say_what_they_are(self):
        info = MODEL.info()
        self.assertEqual((info.backbone, info.class_names, info.n_features), ("i3d", ["a", "b"], 1024))
        self.assertEqual((info.contrast, info.checkpoint_sha256), ("unknown", ""))
        self.assertEqual(MODEL.embed(boxes()).shape, (4, 1024))
        to_classify = MODEL.memory_estimate((16, 16, 16))
        self.assertGreater(MODEL.memory_estimate((16, 16, 16), "train", 4), to_classify)
        self.assertGreater(to_classify, 4 * info.n_parameters)
        sized = CONTEXT.model_random(["é", "b"], preprocess={"input_size": (16, 32, 32), "n_views": 1})
        self.assertEqual((sized.info().input_size, sized.info().class_names), ((16, 32, 32), ["é", "b"]))
        paper = CONTEXT.model_random(["a", "b"], preprocess={"preset": "paper_video", "normalization": "fixed", "fixed_mean": 50})
        self.assertIn("fixed", str(paper.info().metadata).lower())
        with PLUGIN.context("cpu", precision="bf16", n_threads=1) as rounded:
            scores = rounded.model_random(["a", "b"], seed=7).classify(boxes())
        np.testing.assert_allclose(scores, MODEL.classify(boxes()), atol=0.05)
        self.assertFalse(np.array_equal(scores, MODEL.classify(boxes())))

    def test_evaluation_is_that_by_hand(self):
        scores, labels = [[0.95, 0.05], [0.15, 0.85], [0.45, 0.55]], [0, 1, 0]
        found = PLUGIN.evaluate(scores, labels)
        self.assertEqual((found.n_evaluated, found.accuracy, found.macro_auc), (3, 2 / 3, 1.0))
        np.testing.assert_array_equal(found.confusion, [[1, 1], [0, 1]])
        self.assertEqual(list(PLUGIN.evaluate_classes(scores, labels)["recall"]), [0.5, 1.0])
        roc = PLUGIN.evaluate_roc(scores, labels, 1)
        np.testing.assert_array_equal(roc["true_positive_rate"], [0, 1, 1, 1])
        np.testing.assert_array_equal(roc["false_positive_rate"], [0, 0, 0.5, 1])
        self.assertEqual(len(PLUGIN.evaluate_roc(scores, [0, 0, 0], 1)), 0)
        self.assertEqual(PLUGIN.evaluate_reliability(scores, labels, 10)["n"].tolist(), [0, 0, 0, 0, 0, 1, 0, 0, 1, 1])
        with self.assertRaisesRegex(cinetomo.Error, r"shape \(3,\)"):
            PLUGIN.evaluate([1, 2, 3], labels)

    def test_splits_are_whole(self):
        parts = PLUGIN.split([0, 0, 1, 1, 0, 0, 1, 1, -1], [1, 2, 1, 2, 3, 4, 3, 4, 4])
        self.assertEqual(sorted(np.concatenate(list(parts.values()))), list(range(8)))
        self.assertEqual(set(parts), {"training", "validation", "test"})
        with self.assertRaisesRegex(cinetomo.Error, "1 groups for 2 labels"):
            PLUGIN.split([0, 1], [1])

    def test_simulation(self):
        synthetic = CONTEXT.synthetic()
        self.assertIn("apoferritin", synthetic.phantom_names)
        density = synthetic.phantom_density(6, 16)
        voxels, particles = synthetic.simulate(
            [0, 0], densities=np.stack([density]), box_size=16, snr=float("inf"), contrast="bright", max_shift=0, n_neighbours=1
        )
        self.assertEqual((voxels.shape, voxels.dtype), ((2, 16, 16, 16), np.float32))
        self.assertFalse(np.array_equal(voxels[0], voxels[1]))
        self.assertEqual(particles.shape, (2, 2))
        np.testing.assert_allclose(particles["position"][:, 0], 8)  # the targets are in the middle

    def test_particles_are_picked_and_cut_out(self):
        synthetic = CONTEXT.synthetic()
        tomogram, truth = synthetic.simulate_tomogram([6, 6, 6], (40, 64, 64), snr=float("inf"), defocus=0, contrast="bright")
        self.assertEqual((tomogram.shape, truth.shape), ((40, 64, 64), (3,)))
        volume = cinetomo.Volume(tomogram, voxel_size=10, contrast="bright")
        picks = CONTEXT.pick(volume, particle_diameter=120, n_max=3, min_distance=8)
        self.assertEqual((picks.positions.shape, picks.scores.shape), ((3, 3), (3,)))
        distances = np.linalg.norm(picks.positions[:, None] - truth["position"][None], axis=2)
        self.assertLess(distances.min(axis=0).max(), truth["radius"].min())

        read = cinetomo.Tomogram(tomogram.shape, tomogram.__getitem__, voxel_size=10, contrast="bright")
        np.testing.assert_array_equal(CONTEXT.pick(read, particle_diameter=120, n_max=3, min_distance=8).positions, picks.positions)
        point = [[20.0, 30.0, 31.0]]
        for source in (volume, read):
            boxes, indices = CONTEXT.extract(source, [*point, [-500, 0, 0]], box_size=8, edge="skip", resampling="nearest")
            np.testing.assert_array_equal(boxes, [tomogram[16:24, 26:34, 27:35]])
            self.assertEqual(indices.tolist(), [0])

        def fail(_):
            raise OSError("the disk is gone")

        with self.assertRaisesRegex(OSError, "the disk is gone"):
            CONTEXT.extract(cinetomo.Tomogram((32, 32, 32), fail), [[16, 16, 16]], box_size=8)
        with self.assertRaisesRegex(cinetomo.Error, "expected \\[n, 3\\]"):
            CONTEXT.extract(volume, [1, 2, 3])

    def test_evidence_and_maps(self):
        maps = MODEL.grad_cam(boxes(), stage="Mixed_3c", class_index=1, method="respond_cam")
        self.assertEqual((maps.shape, maps.dtype), ((4, 16, 16, 16), np.float32))
        with self.assertRaisesRegex(cinetomo.Error, "stage"):
            MODEL.grad_cam(boxes(), stage="none")
        embeddings = np.zeros((20, 3), np.float32)
        embeddings[1::2, 0], embeddings[:, 1] = 50, np.arange(20) / 10
        apart = CONTEXT.separation(embeddings, np.arange(20) % 2)
        self.assertEqual((apart.n_evaluated, apart.knn_accuracy), (20, 1.0))
        self.assertGreater(apart.silhouette, 0.9)
        self.assertEqual(CONTEXT.tsne(embeddings, n_iterations=250, perplexity=5).shape, (20, 2))

    def test_a_checkpoint_is_inspected(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "weights.npz"
            np.savez(path, **{"layer/kernel": np.zeros((3, 3), np.float32)})
            found = PLUGIN.weights_inspect(path)
        self.assertEqual([tensor["name"] for tensor in found["tensors"]], ["layer/kernel"])
        self.assertIsNone(found["network"])
        with self.assertRaises(cinetomo.Error) as caught:
            PLUGIN.weights_inspect("/nowhere.pth")
        self.assertIs(caught.exception.status, cinetomo.Status.IO)


class Following(unittest.TestCase):
    def test_progress_never_goes_back(self):
        reports = []
        MODEL.fine_tune(boxes(), LABELS, n_epochs=2, batch_size=2, progress=reports.append)
        fractions = [report.fraction for report in reports]
        self.assertEqual((fractions, fractions[-1]), (sorted(fractions), 1.0))
        trained = [report for report in reports if report.stage == "train"]
        self.assertEqual({(report.epoch, report.n_epochs) for report in trained}, {(1, 2), (2, 2)})

    def test_false_cancels(self):
        with self.assertRaises(cinetomo.Error) as caught:
            MODEL.classify(boxes(), progress=lambda progress: False)
        self.assertIs(caught.exception.status, cinetomo.Status.CANCELLED)

    def test_an_exception_comes_out_as_it_went_in(self):
        calls = []

        def progress(report):
            calls.append(report)
            raise KeyError("mine")

        for call in (MODEL.classify, MODEL.embed, MODEL.predict, lambda v, **k: MODEL.fine_tune(v, LABELS, **k)):
            calls.clear()
            with self.assertRaisesRegex(KeyError, "mine"):
                call(boxes(), progress=progress)
            self.assertEqual(len(calls), 1)

    def test_another_thread_cancels(self):
        with PLUGIN.cancel() as cancel:
            started = threading.Event()
            other = threading.Thread(target=lambda: (started.wait(), cancel.set()))
            other.start()
            with self.assertRaises(cinetomo.Error) as caught:
                MODEL.fine_tune(boxes(), LABELS, n_epochs=100000, cancel=cancel, progress=lambda _: started.set())
            other.join()
        self.assertIs(caught.exception.status, cinetomo.Status.CANCELLED)

    def test_a_bar_is_shown(self):
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown):
            MODEL.classify(boxes(), progress=True)
        self.assertRegex(shown.getvalue(), r"classify.* 100 ?%")
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown), mock.patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}):
            MODEL.classify(boxes(), progress=True)
        self.assertRegex(shown.getvalue(), r"classify 100 %")

    def test_the_log_goes_where_it_is_wanted(self):
        lines = []
        with PLUGIN.context("cpu", n_threads=1, log_level="trace", log=lambda *line: lines.append(line)) as context:
            model = context.model_random(["a", "b"])
        self.assertTrue(lines)
        self.assertLessEqual({level for level, _ in lines}, {"warn", "info", "debug", "trace"})
        del context
        gc.collect()
        n = len(lines)
        model.fine_tune(boxes(), LABELS, n_epochs=0)  # the sink outlives its context
        self.assertGreater(len(lines), n)

        dark = MODEL.fine_tune(cinetomo.Volume(boxes(), contrast="dark"), LABELS, n_epochs=0)
        with self.assertLogs(logging.getLogger("cinetomo"), "WARNING") as caught:
            dark.classify(cinetomo.Volume(boxes(), contrast="bright"))
        self.assertIn("Bright", caught.output[0])

        def broken(*_):
            raise ValueError("dropped")

        self.assertEqual(PLUGIN.context(log_level="trace", log=broken).model_random(["a", "b"]).info().backbone, "i3d")


class Lifetimes(unittest.TestCase):
    def test_closed_means_closed(self):
        with PLUGIN.context("cpu", n_threads=1) as context:
            model = context.model_random(["a", "b"])
        with self.assertRaises(cinetomo.Error):
            context.model_random(["a", "b"])
        self.assertEqual(model.classify(boxes()).shape, (4, 2))  # models live on without their context
        with model:
            pass
        model.close()
        with self.assertRaises(cinetomo.Error) as caught:
            model.info()
        self.assertIs(caught.exception.status, cinetomo.Status.NULL_ARGUMENT)

    def test_the_last_reference_frees(self):
        freed = []
        real = PLUGIN._api.model_free
        api = mock.Mock(wraps=PLUGIN._api)
        api.model_free = lambda handle: (freed.append(handle), real(handle))
        with mock.patch.object(PLUGIN, "_api", api):
            model = CONTEXT.model_random(["a", "b"])
        handle = model._handle
        del model
        gc.collect()
        self.assertEqual(freed, [handle])

    def test_what_is_no_library_is_refused(self):
        with self.assertRaises(cinetomo.Error) as caught:
            cinetomo.load("/nowhere/libcinetomo.so.1")
        self.assertIs(caught.exception.status, cinetomo.Status.IO)
        with self.assertRaises(cinetomo.Error) as caught:
            cinetomo.Plugin(PLUGIN.library, "cinetomo_get_something")
        self.assertIs(caught.exception.status, cinetomo.Status.UNSUPPORTED)
        with mock.patch.object(cinetomo, "ABI_VERSION", 99), self.assertRaises(cinetomo.Error) as caught:
            cinetomo.Plugin(PLUGIN.library)
        self.assertIs(caught.exception.status, cinetomo.Status.UNSUPPORTED)
        self.assertIn("ABI 99", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
