//! The main job through the contract: real video weights, simulated subtomograms, and what users rely on.

use std::{ops::ControlFlow, sync::OnceLock};

use cinetomo_abi::{
    cinetomo_contrast as Contrast, cinetomo_device as Device, cinetomo_precision as Precision,
    cinetomo_progress,
};
use cinetomo_host::{Context, FineTuneOptions, Hooks, Model, ModelOptions, Plugin, Volume};
use cinetomo_tests::{i3d_checkpoint, library};

/// Of the checkpoint in the Python package, by `sha256sum`.
const CHECKPOINT_SHA256: &str = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd";

fn context() -> Context {
    context_in(Precision::F32)
}

fn context_in(precision: Precision) -> Context {
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin loads");
    let mut options = plugin.context_options();
    options.device = Device::Cpu as i32;
    options.precision = precision as i32;
    plugin.context(options).expect("a context")
}

/// Simulated subtomograms of the built-in phantoms, the classes in turn.
struct Data {
    voxels: Vec<f32>,
    labels: Vec<i32>,
    edge: i64,
}

impl Data {
    fn simulate(context: &Context, n_per_class: usize, snr: f64, seed: u64) -> Data {
        let synthetic = context.synthetic().expect("the extension");
        let n_classes = synthetic.phantom_names().len() as i32;
        let labels: Vec<i32> = (0..n_classes * n_per_class as i32).map(|i| i % n_classes).collect();
        let mut options = synthetic.options().expect("options");
        (options.snr, options.seed) = (snr, seed);
        let voxels = synthetic
            .simulate(None, &labels, &options, Hooks::none())
            .expect("simulated subtomograms");
        Data { voxels, labels, edge: options.box_size }
    }

    /// The first `n` of them.
    fn first(&self, n: usize) -> Data {
        let n_voxels = self.voxels.len() / self.labels.len();
        let voxels = self.voxels[..n * n_voxels].to_vec();
        Data { voxels, labels: self.labels[..n].to_vec(), edge: self.edge }
    }

    fn volume(&self) -> Volume<'_> {
        let edge = self.edge;
        Volume::new(&self.voxels, [self.labels.len() as i64, edge, edge, edge])
            .expect("a volume")
            .voxel_size(10.0)
            .contrast(Contrast::Dark)
    }
}

fn scores(model: &Model, data: &Data) -> Vec<f32> {
    model.classify(&data.volume(), Hooks::none()).expect("scores")
}

fn accuracy(model: &Model, context: &Context, data: &Data) -> f64 {
    let scores = scores(model, data);
    let n_classes = model.info().expect("info").class_names.len();
    context.plugin().evaluate(&scores, &data.labels, n_classes).expect("metrics").accuracy
}

fn options(context: &Context, n_epochs: i32) -> FineTuneOptions {
    let mut options = context.plugin().fine_tune_options();
    options.n_epochs = n_epochs;
    options
}

fn class_names(context: &Context) -> Vec<String> {
    context.synthetic().expect("the extension").phantom_names()
}

/// A model fine-tuned from video, with the data it was trained and tested on: made once for several tests.
struct Tuned {
    context: Context,
    train: Data,
    test: Data,
    video: Model,
    tuned: Model,
    progress: Vec<cinetomo_progress>,
}

// SAFETY: contexts and models may be used from any thread, by contract.
unsafe impl Sync for Tuned {}
// SAFETY: as above.
unsafe impl Send for Tuned {}

fn tuned() -> &'static Tuned {
    static TUNED: OnceLock<Tuned> = OnceLock::new();
    TUNED.get_or_init(|| {
        let context = context();
        // Easier than the demo, so that a short training must succeed.
        let train = Data::simulate(&context, 10, 0.5, 1);
        let test = Data::simulate(&context, 10, 0.5, 2);
        let video = context
            .model_from_video(
                i3d_checkpoint(),
                &ModelOptions::new(class_names(&context)),
                Hooks::none(),
            )
            .expect("a model from video");
        let mut progress = Vec::new();
        let tuned = video
            .fine_tune(
                &train.volume(),
                &train.labels,
                &options(&context, 2),
                Hooks::progress(&mut |report| {
                    progress.push(*report);
                    ControlFlow::Continue(())
                }),
            )
            .expect("fine-tuning");
        Tuned { context, train, test, video, tuned, progress }
    })
}

#[test]
fn video_beats_random_numbers() {
    let Tuned { context, train, test, tuned, .. } = tuned();
    let random = context
        .model_random(&ModelOptions::new(class_names(context)))
        .and_then(|random| {
            random.fine_tune(&train.volume(), &train.labels, &options(context, 2), Hooks::none())
        })
        .expect("a random model");
    let (video, random) = (accuracy(tuned, context, test), accuracy(&random, context, test));
    // One in seven is chance. 70 boxes: a standard error of 6 points at most.
    assert!(video > 0.6, "video {video}");
    assert!(video > random + 0.2, "video {video}, random {random}");
}

/// The precision is the context's: models made, trained or loaded with it multiply so, and their history tells.
#[test]
fn bfloat16_gives_nearly_the_same() {
    let Tuned { context, train, test, tuned, .. } = tuned();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("model");
    tuned.save(&path).expect("saved");
    let rounding = context_in(Precision::Bf16);
    let rounded = rounding.model_load(&path).expect("loaded");
    let few = test.first(14);
    let (single, rounded_scores) = (scores(tuned, &few), scores(&rounded, &few));
    assert_eq!(rounded_scores, scores(&rounded, &few));
    let difference = std::iter::zip(&single, &rounded_scores).map(|(a, b)| (a - b).abs());
    let difference = difference.fold(0.0, f32::max);
    assert!(difference > 0.0 && difference < 0.1, "{difference}");
    // On the CPU AUTO is F32.
    let auto = context_in(Precision::Auto).model_load(&path).expect("loaded");
    assert_eq!(scores(&auto, &few), single);

    let train = train.first(28);
    let trained =
        rounded.fine_tune(&train.volume(), &train.labels, &options(context, 3), Hooks::none());
    let trained = trained.expect("trained");
    let metadata = trained.info().expect("info").metadata_json;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    assert_eq!(metadata["history"][0]["precision"], "f32");
    assert_eq!(metadata["history"][1]["precision"], "bf16");
    let found = accuracy(&trained, &rounding, &test.first(28));
    assert!(found > 0.6, "{found}");
}

#[test]
fn a_saved_model_scores_the_same_bit_by_bit() {
    let Tuned { context, test, tuned, .. } = tuned();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("Modell ü.safetensors");
    tuned.save(&path).expect("saved");
    let loaded = context.model_load(&path).expect("loaded");
    let test = test.first(21);
    let bits = |model| scores(model, &test).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(tuned), bits(&loaded));
    assert_eq!(tuned.info().expect("info"), loaded.info().expect("info"));
}

/// On the very subtomograms that it is calibrated on: what is said of them is what happens to them.
#[test]
fn a_calibrated_model_keeps_its_confidence() {
    let Tuned { context, test, tuned, .. } = tuned();
    let plugin = context.plugin();
    let mut options = plugin.calibration_options();
    options.coverage = 0.5;
    let calibrated = tuned.calibrate(&test.volume(), &test.labels, &options, Hooks::none());
    let calibrated = calibrated.expect("a calibrated model");
    let confidence = calibrated.confidence().expect("confidence");
    assert_eq!(confidence.n_calibration, test.labels.len() as i64);
    assert!(confidence.log_loss_after < confidence.log_loss_before, "{confidence:?}");
    assert!(confidence.distance.value.is_nan() && confidence.n_class_means == 0);
    assert_eq!(tuned.confidence().expect("confidence").n_calibration, 0);

    let reject = cinetomo_abi::cinetomo_reject::Probability as i32;
    let predict = |model: &Model| model.predict(&test.volume(), reject, Hooks::none());
    let predictions = predict(&calibrated).expect("predictions");
    let pairs = || predictions.labels.iter().zip(&test.labels);
    let n_accepted = pairs().filter(|(got, _)| **got >= 0).count() as i64;
    let n_correct = pairs().filter(|(got, label)| got == label).count() as i64;
    let threshold = confidence.probability;
    assert_eq!((n_accepted, n_correct), (threshold.n_accepted, threshold.n_correct));
    assert!((35..70).contains(&n_accepted), "{n_accepted}");
    let metrics = plugin.evaluate(&predictions.probabilities, &test.labels, 7).expect("metrics");
    assert!((metrics.log_loss - confidence.log_loss_after).abs() < 1e-5, "{metrics:?}");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("calibrated.safetensors");
    calibrated.save(&path).expect("saved");
    let loaded = context.model_load(&path).expect("loaded");
    assert_eq!(predict(&loaded).expect("predictions"), predictions);
    // NaN is not equal to itself, but reads the same.
    let again = loaded.confidence().expect("confidence");
    assert_eq!(format!("{again:?}"), format!("{confidence:?}"));
}

#[test]
fn a_model_tells_what_it_is() {
    let Tuned { context, train, video, tuned, .. } = tuned();
    let info = tuned.info().expect("info");
    assert_eq!(info.backbone, "i3d");
    assert_eq!(info.class_names, class_names(context));
    assert_eq!(info.checkpoint_sha256, CHECKPOINT_SHA256);
    assert_eq!((info.voxel_size, info.contrast), (10.0, Contrast::Dark as i32));
    assert_eq!(info.n_features, 1024);
    // Carreira & Zisserman 2017, table 1 counts 12 M for one stream, head included. Exactly: the sum over the
    // checkpoint without its head of 400 classes, plus 1024 * 7 + 7.
    assert_eq!(info.n_parameters, 12_279_984 + 7_175);
    let fresh = video.info().expect("info");
    assert_eq!((fresh.voxel_size, fresh.contrast), (0.0, Contrast::Unknown as i32));

    let metadata: serde_json::Value =
        serde_json::from_str(&info.metadata_json).expect("metadata are JSON");
    let history = metadata["history"].as_array().expect("a history");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["n_subtomograms"], train.labels.len());
    assert_eq!(history[0]["n_per_class"], serde_json::json!([10, 10, 10, 10, 10, 10, 10]));
    assert_eq!(history[0]["epochs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn progress_never_goes_back_and_ends_at_one() {
    let progress = &tuned().progress;
    assert!(progress.is_sorted_by(|a, b| a.fraction <= b.fraction));
    assert_eq!(progress.last().map(|last| last.fraction), Some(1.0));
    let last = progress.iter().rfind(|report| report.n_epochs > 0).expect("epochs were reported");
    assert_eq!((last.epoch, last.n_epochs, last.step), (2, 2, last.n_steps));
    assert!(last.loss.is_finite() && last.accuracy > 0.0 && last.validation_accuracy.is_nan());
}

#[test]
fn same_seed_same_result() {
    let Tuned { context, train, test, video, .. } = tuned();
    let (train, test) = (train.first(14), test.first(14));
    let trained = |seed: u64| {
        let mut options = options(context, 2);
        options.seed = seed;
        let model = video.fine_tune(&train.volume(), &train.labels, &options, Hooks::none());
        scores(&model.expect("fine-tuning"), &test)
    };
    let first = trained(0);
    assert_eq!(first, trained(0));
    assert_ne!(first, trained(1));
}

#[test]
fn embeddings_are_what_the_head_sees() {
    let Tuned { test, tuned, .. } = tuned();
    let test = test.first(14);
    let embeddings = tuned.embed(&test.volume(), Hooks::none()).expect("embeddings");
    assert_eq!(embeddings.len(), test.labels.len() * 1024);
    assert!(embeddings.iter().all(|value| value.is_finite()));
    // Means over rectified activations.
    assert!(embeddings.iter().all(|&value| value >= 0.0));
}

#[test]
fn every_voxel_type_layout_and_axis_gives_the_same_scores() {
    let Tuned { tuned, .. } = tuned();
    const N: usize = 3;
    const EDGES: [usize; 3] = [18, 17, 16];
    let n_voxels = EDGES.iter().product::<usize>();
    // Whole numbers from 0 to 127: exact in every voxel type.
    let values: Vec<u8> = (0..N * n_voxels).map(|i| ((i * i * 31 + i * 7) % 128) as u8).collect();
    let [z, y, x] = EDGES.map(|edge| edge as i64);
    let shape = [N as i64, z, y, x];
    let classify = |volume: &Volume<'_>| tuned.classify(volume, Hooks::none()).expect("scores");
    fn cast<T: From<u8>>(values: &[u8]) -> Vec<T> {
        values.iter().map(|&value| T::from(value)).collect()
    }

    let expected = classify(&Volume::new(&cast::<f32>(&values), shape).expect("f32"));
    let signed: Vec<i8> = values.iter().map(|&value| value as i8).collect();
    let half: Vec<u16> = values.iter().map(|&value| half_bits(value)).collect();
    let same = [
        classify(&Volume::new(&values, shape).expect("u8")),
        classify(&Volume::new(&signed, shape).expect("i8")),
        classify(&Volume::new(&cast::<u16>(&values), shape).expect("u16")),
        classify(&Volume::new(&cast::<i16>(&values), shape).expect("i16")),
        classify(&Volume::from_f16_bits(&half, shape).expect("f16")),
    ];
    for (dtype, scores) in ["u8", "i8", "u16", "i16", "f16"].iter().zip(same) {
        assert_eq!(scores, expected, "{dtype}");
    }
    // Above 32767 a u16 must not turn negative; min-max makes an offset vanish.
    let high: Vec<u16> = values.iter().map(|&value| 40_000 + u16::from(value)).collect();
    let scores = classify(&Volume::new(&high, shape).expect("u16"));
    for (score, expected) in scores.iter().zip(&expected) {
        assert!((score - expected).abs() < 1e-4, "{score} {expected}");
    }

    // Rows with a gap after each, as in a crop of a larger volume.
    let gap = 5;
    let mut padded = vec![255u8; N * n_voxels / EDGES[2] * (EDGES[2] + gap)];
    for (row, source) in values.chunks(EDGES[2]).enumerate() {
        padded[row * (EDGES[2] + gap)..][..EDGES[2]].copy_from_slice(source);
    }
    let row = x + gap as i64;
    let volume = Volume::new(&padded, shape).expect("u8").strides([z * y * row, y * row, row, 1]);
    assert_eq!(classify(&volume), expected, "strides");

    // The beam along x: the same voxels stored as y, x, z.
    let mut turned = vec![0u8; N * n_voxels];
    for (index, &value) in values.iter().enumerate() {
        let [n, z, y, x] = coordinates(index, EDGES);
        turned[((n * EDGES[1] + y) * EDGES[2] + x) * EDGES[0] + z] = value;
    }
    let volume = Volume::new(&turned, [N as i64, y, x, z])
        .expect("u8")
        .beam_axis(cinetomo_abi::cinetomo_axis::X);
    assert_eq!(classify(&volume), expected, "beam axis");
}

/// Bits of a whole number from 0 to 127 as IEEE 754 binary16: exponent bias 15, ten bits of mantissa.
fn half_bits(value: u8) -> u16 {
    if value == 0 {
        return 0;
    }
    let exponent = 7 - value.leading_zeros() as u16;
    let mantissa = (u16::from(value) << (10 - exponent)) & 0x3ff;
    ((exponent + 15) << 10) | mantissa
}

fn coordinates(index: usize, [nz, ny, nx]: [usize; 3]) -> [usize; 4] {
    [index / (nz * ny * nx), index / (ny * nx) % nz, index / nx % ny, index % nx]
}

#[test]
fn preprocessing_mends_a_flipped_contrast() {
    let Tuned { context, train, test, .. } = tuned();
    let (train, test) = (train.first(14), test.first(14));
    let mut model_options = ModelOptions::new(class_names(context));
    let mut preprocess = context.plugin().preprocess_options();
    preprocess.contrast = Contrast::Dark as i32;
    model_options.preprocess = Some(preprocess);
    let model = context
        .model_from_video(i3d_checkpoint(), &model_options, Hooks::none())
        .and_then(|model| {
            model.fine_tune(&train.volume(), &train.labels, &options(context, 0), Hooks::none())
        })
        .expect("a probe");
    let bright = Data {
        voxels: test.voxels.iter().map(|voxel| -voxel).collect(),
        labels: test.labels.clone(),
        edge: test.edge,
    };
    let classify = |volume: &Volume<'_>| model.classify(volume, Hooks::none()).expect("scores");
    assert_eq!(classify(&test.volume()), classify(&bright.volume().contrast(Contrast::Bright)),);
    assert_ne!(classify(&test.volume()), classify(&bright.volume()), "contrast is not stated");
}

#[test]
fn a_rust_host_loads_the_same_table_through_abi_stable() {
    use abi_stable::library::lib_header_from_path;
    let module: cinetomo_abi::cinetomo_root_module_Ref = lib_header_from_path(&library())
        .and_then(|header| header.init_root_module())
        .expect("abi_stable accepts the layout");
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin loads");
    assert!(std::ptr::eq(module.api(), plugin.api()));
}

#[test]
fn a_checkpoint_is_looked_into_without_being_loaded() {
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin loads");
    let json = plugin.weights_inspect(i3d_checkpoint()).expect("what is in it");
    let inspection: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(inspection["network"], "i3d");
    assert_eq!(inspection["container"], "flax checkpoint (pickled numpy arrays)");
    assert_eq!(inspection["sha256"], CHECKPOINT_SHA256);
    assert_eq!(inspection["n_classes"], 400);
    assert_eq!(inspection["n_parts"], 1);
    assert_eq!(inspection["wrong"], serde_json::json!([]));
    let tensors = inspection["tensors"].as_array().expect("an array");
    let head = tensors.iter().find(|tensor| tensor["name"] == "Logits/Conv3d_0c_1x1/Conv_0/weight");
    let head = head.expect("the head");
    assert_eq!(head["shape"], serde_json::json!([400, 1024, 1, 1, 1]));
    assert_eq!((&head["dtype"], &head["n_bytes"]), (&"float32".into(), &(400 * 1024 * 4).into()));
    let error = plugin.weights_inspect(library()).expect_err("no checkpoint");
    assert!(error.is(cinetomo_abi::cinetomo_status::Format), "{error}");
}
