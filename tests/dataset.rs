//! Boxes that are fetched, through the contract, as a host in Rust hands them over.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cinetomo_abi::cinetomo_device as Device;
use cinetomo_host::{
    Context, Dataset, FineTuneOptions, Hooks, Model, ModelOptions, Plugin, Volume,
    abi::{cinetomo_axis as Axis, cinetomo_contrast as Contrast, cinetomo_status as Status},
};
use cinetomo_tests::library;

const N: usize = 8;
const SHAPE: [i64; 4] = [N as i64, 18, 16, 20];

fn context() -> Context {
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin loads");
    let mut options = plugin.context_options();
    options.device = Device::Cpu as i32;
    // On two threads the results still must be the same bits.
    options.n_threads = 2;
    plugin.context(options).expect("a context")
}

fn model(context: &Context) -> Model {
    let options =
        ModelOptions { backbone: Some("resnet3d_10".to_owned()), ..ModelOptions::new(["a", "b"]) };
    context.model_random(&options).expect("a model")
}

fn options(context: &Context) -> FineTuneOptions {
    let mut options = context.plugin().fine_tune_options();
    (options.n_epochs, options.batch_size, options.validation_fraction) = (2, 3, 0.25);
    options
}

/// Any voxels will do that differ.
fn voxels() -> Vec<f32> {
    (0..SHAPE.iter().product()).map(|i: i64| (i as f32 * 0.37).sin()).collect()
}

fn labels() -> [i32; N] {
    std::array::from_fn(|index| index as i32 % 2)
}

fn copy(voxels: &[f32], indices: &[usize], out: &mut [f32]) -> Result<(), String> {
    let n = voxels.len() / N;
    for (&index, place) in indices.iter().zip(out.chunks_exact_mut(n)) {
        place.copy_from_slice(&voxels[index * n..][..n]);
    }
    Ok(())
}

#[test]
fn a_host_gets_the_same_model_as_of_boxes_in_memory() {
    let (context, voxels) = (context(), voxels());
    let (model, options) = (model(&context), options(&context));
    let volume = Volume::new(&voxels, SHAPE).expect("a volume");
    let volume = volume.voxel_size(12.0).contrast(Contrast::Dark).beam_axis(Axis::Y);
    let mut dataset = Dataset::read_by(SHAPE, |indices, out| copy(&voxels, indices, out))
        .voxel_size(12.0)
        .contrast(Contrast::Dark)
        .beam_axis(Axis::Y);
    let expected = model.fine_tune(&volume, &labels(), &options, Hooks::none()).expect("a model");
    let found = model.fine_tune_dataset(&mut dataset, &labels(), &options, Hooks::none());
    let found = found.expect("a model");
    let info = found.info().expect("info");
    assert_eq!(info, expected.info().expect("info"));
    assert_eq!((info.voxel_size, info.contrast), (12.0, Contrast::Dark as i32));
    let scores = expected.classify(&volume, Hooks::none()).expect("scores");
    assert_eq!(found.classify(&volume, Hooks::none()).expect("scores"), scores);
    assert_eq!(found.classify_dataset(&mut dataset, Hooks::none()).expect("scores"), scores);

    let how = context.plugin().calibration_options();
    let expected = expected.calibrate(&volume, &labels(), &how, Hooks::none()).expect("a model");
    let found = found.calibrate_dataset(&mut dataset, &labels(), &how, Hooks::none());
    let temperature = |model: &Model| model.confidence().expect("confidence").temperature;
    assert_eq!(temperature(&found.expect("a model")), temperature(&expected));
}

#[test]
fn what_the_reader_says_comes_out_of_the_call() {
    let context = context();
    let (model, options) = (model(&context), options(&context));
    let tune = |dataset: &mut Dataset<'_>| {
        model.fine_tune_dataset(dataset, &labels(), &options, Hooks::none())
    };
    let mut broken = Dataset::read_by(SHAPE, |_, _| Err("the disk is gone".to_owned()));
    let error = tune(&mut broken).expect_err("an error");
    assert!(error.is(Status::Io) && error.message() == "the disk is gone", "{error}");

    let mut panics = Dataset::read_by(SHAPE, |_, _| panic!("mine"));
    let outcome = catch_unwind(AssertUnwindSafe(|| tune(&mut panics).map(|_| ())));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"mine"));

    let mut silent = Dataset::read_by(SHAPE, |_, _| Ok(()));
    let error = tune(&mut silent).expect_err("an error");
    assert!(error.is(Status::NonFinite), "{error}");
    assert!(error.message().contains("5760 voxels are NaN"), "{error}");

    let mut shapeless = Dataset::read_by([8, 0, 16, 20], |_, _| Ok(()));
    let error = tune(&mut shapeless).expect_err("an error");
    assert!(error.is(Status::InvalidArgument) && error.message().contains("along z"), "{error}");
}

/// With a name, boxes are not read to be known again; with another name, the training is another.
#[test]
fn a_training_goes_on_with_boxes_of_the_same_name() {
    let (context, voxels) = (context(), voxels());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("training");
    let options = options(&context).checkpoint(&path).expect("a path");
    let model = model(&context);
    let n_read = Cell::new(0);
    let named = |name: &str| {
        let read = |indices: &[usize], out: &mut [f32]| {
            n_read.set(n_read.get() + indices.len());
            copy(&voxels, indices, out)
        };
        let mut dataset = Dataset::read_by(SHAPE, read).identity(name).expect("a name");
        model.fine_tune_dataset(&mut dataset, &labels(), &options, Hooks::none())
    };
    let first = named("set 1").expect("a model");
    let n_trained = n_read.replace(0);
    assert!(path.exists());
    let again = named("set 1").expect("a model");
    // Of what is over, the calibration alone is made again: two boxes of validation.
    assert!(n_trained > 2 * N && n_read.get() == 2, "{n_trained} {}", n_read.get());
    assert_eq!(again.info().expect("info"), first.info().expect("info"));
    let error = named("set 2").expect_err("an error");
    assert!(error.is(Status::ModelMismatch), "{error}");
}
