use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::{
    model::ModelConfig,
    monitor::{Stage, log_nothing, stopped},
    preprocess::Preprocess,
    train::{BatchNorm, Calibration, FineTune, HeadStart, calibrate, fine_tune},
    volume::Dtype,
};

const N: usize = 12;
/// z, y, x: all different, so that no axis can be taken for another.
const SIZE: [i64; 3] = [18, 16, 20];

fn voxels() -> Vec<f32> {
    let n = N * SIZE.iter().product::<i64>() as usize;
    let noise = StandardNormal;
    noise.sample_iter(ChaCha8Rng::seed_from_u64(5)).take(n).collect()
}

fn labels() -> Vec<i32> {
    (0..N as i32).map(|index| if index == 3 { -1 } else { index % 2 }).collect()
}

fn model() -> Model {
    let config = ModelConfig {
        backbone: Some("resnet3d_10".to_owned()),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Preprocess { n_views: 1, ..Preprocess::default() },
        seed: 1,
        dropout: 0.2,
    };
    Model::random(config, Device::Cpu).unwrap()
}

fn shape() -> [i64; 4] {
    let [z, y, x] = SIZE;
    [N as i64, z, y, x]
}

/// The voxels as the host's own.
fn volume(voxels: &[f32], beam_axis: Axis) -> Volume<'static> {
    let view = Tensor::from_slice(voxels).reshape(shape());
    Volume::from_view(view, Dtype::F32, 10.0, Contrast::Dark, beam_axis).unwrap()
}

/// The voxels as a function fetches them.
fn dataset<'a>(
    beam_axis: Axis,
    identity: Option<&str>,
    read: impl FnMut(&[usize], &mut [f32]) -> Result<()> + 'a,
) -> Dataset<'a> {
    let identity = identity.map(str::to_owned);
    Dataset::new(shape(), 10.0, Contrast::Dark, beam_axis, identity, read)
}

fn copy(voxels: &[f32], indices: &[usize], out: &mut [f32]) {
    let n = out.len() / indices.len();
    for (&index, place) in indices.iter().zip(out.chunks_exact_mut(n)) {
        place.copy_from_slice(&voxels[index * n..(index + 1) * n]);
    }
}

fn short() -> FineTune {
    FineTune { n_epochs: 2, batch_size: 4, ..FineTune::default() }
}

fn bits(model: &Model) -> Vec<u32> {
    let parameters = model.network.parameters.iter().map(|parameter| &parameter.tensor);
    parameters
        .chain([&model.head.weight, &model.head.bias])
        .flat_map(|tensor| Vec::<f32>::try_from(tensor.to_kind(Kind::Float).reshape([-1])).unwrap())
        .map(f32::to_bits)
        .collect()
}

/// A training that goes on after a stop. Its state is small: only the head is trained.
fn resumable() -> FineTune {
    FineTune { validation_fraction: 0.2, head: HeadStart::Keep, n_frozen_stages: 5, ..short() }
}

/// Everything that a training can ask of its voxels: probes, validation, statistics, class means, calibration.
#[test]
fn what_is_fetched_trains_the_very_model_of_what_is_in_memory() {
    let (voxels, labels, mut model) = (voxels(), labels(), model());
    let here = thread::current().id();
    let mut calibration = Calibration::default();
    calibration.reject.distance = true;
    let whole = FineTune { batch_norm: BatchNorm::Trained, ..short() };
    let probed = FineTune {
        batch_norm: BatchNorm::Recalibrated,
        head: HeadStart::ProbeStages,
        validation_fraction: 0.3,
        micro_batch_size: 3,
        calibration,
        ..short()
    };
    for (config, beam_axis) in [(whole, Axis::X), (probed, Axis::Z)] {
        let volume = volume(&voxels, beam_axis);
        let expected =
            fine_tune(&model, &volume, &labels, &config, &mut Monitor::silent()).unwrap();
        let read = |indices: &[usize], out: &mut [f32]| {
            assert_eq!(thread::current().id(), here);
            assert!(!indices.contains(&3), "it has no label");
            copy(&voxels, indices, out);
            Ok(())
        };
        let mut reports = 0;
        let mut monitor = Monitor::new(
            |progress| {
                assert_eq!(thread::current().id(), here);
                reports += usize::from(progress.stage == Stage::Train);
                true
            },
            || false,
            log_nothing(),
        );
        let found = dataset(beam_axis, None, read).serve(
            &mut model,
            &mut monitor,
            || {
                assert_ne!(thread::current().id(), here);
                Ok(())
            },
            |model, volume, monitor| {
                assert_eq!((volume.len(), volume.voxel_size()), (N, 10.0));
                fine_tune(model, volume, &labels, &config, monitor)
            },
        );
        let mut found = found.unwrap();
        drop(monitor);
        assert!(reports >= 4);
        assert_eq!(bits(&found), bits(&expected));
        assert_eq!(found.history, expected.history);
        assert_eq!(found.confidence, expected.confidence);
        assert_eq!((found.voxel_size, found.contrast), (10.0, Contrast::Dark));

        let all = |indices: &[usize], out: &mut [f32]| {
            copy(&voxels, indices, out);
            Ok(())
        };
        let silent = &mut Monitor::silent();
        let scores = expected.classify(&volume, silent).unwrap();
        let classified =
            dataset(beam_axis, None, all).serve(&mut found, silent, || Ok(()), Model::classify);
        assert_eq!(classified.unwrap(), scores);
        let options = Calibration::default();
        let expected = calibrate(&expected, &volume, &labels, &options, silent).unwrap();
        let calibrated = dataset(beam_axis, None, all).serve(&mut found, silent, || Ok(()), {
            |model, volume, monitor| calibrate(model, volume, &labels, &options, monitor)
        });
        assert_eq!(calibrated.unwrap().confidence, expected.confidence);
    }
}

/// The batch after the one that is worked on is asked for before that one is done.
#[test]
fn the_next_batch_is_fetched_ahead() {
    let (voxels, events) = (voxels(), RefCell::new(Vec::new()));
    let read = |indices: &[usize], out: &mut [f32]| {
        events.borrow_mut().push(format!("read {}", indices.len()));
        copy(&voxels, indices, out);
        Ok(())
    };
    let mut monitor = Monitor::new(
        |progress| {
            events.borrow_mut().push(format!("step {}", progress.step));
            true
        },
        || false,
        log_nothing(),
    );
    let config = FineTune { n_epochs: 1, head: HeadStart::Keep, ..short() };
    let labels: Vec<i32> = (0..N as i32).map(|index| index % 2).collect();
    dataset(Axis::Z, None, read)
        .serve(
            &mut model(),
            &mut monitor,
            || Ok(()),
            |model, volume, monitor| fine_tune(model, volume, &labels, &config, monitor),
        )
        .unwrap();
    drop(monitor);
    let expected = ["read 4", "read 4", "step 1", "read 4", "step 2", "step 3"];
    assert_eq!(events.into_inner(), expected);
}

/// What is announced is there although nobody waits for it.
#[test]
fn boxes_are_fetched_while_others_are_worked_on() {
    let (voxels, is_there) = (voxels(), AtomicBool::new(false));
    let read = |indices: &[usize], out: &mut [f32]| {
        copy(&voxels, indices, out);
        is_there.store(indices == [1], Ordering::Release);
        Ok(())
    };
    let work = |_: &Model, volume: &Volume<'_>, _: &mut Monitor<'_>| {
        let first = volume.gather(&[0], Device::Cpu)?;
        volume.announce(&[1]);
        let start = Instant::now();
        while !is_there.load(Ordering::Acquire) {
            assert!(start.elapsed().as_secs() < 60, "nothing is fetched meanwhile");
            thread::yield_now();
        }
        // What was announced in vain does no harm.
        let third = volume.gather(&[2], Device::Cpu)?;
        Ok([first, third].map(|boxes| boxes.double_value(&[0, 0, 0, 0, 0])))
    };
    let monitor = &mut Monitor::silent();
    let found = dataset(Axis::Z, None, read).serve(&mut model(), monitor, || Ok(()), work);
    let n_voxels = voxels.len() / N;
    assert_eq!(found.unwrap(), [0, 2].map(|index| f64::from(voxels[index * n_voxels])));
}

fn error_of(
    read: impl FnMut(&[usize], &mut [f32]) -> Result<()>,
    monitor: &mut Monitor<'_>,
) -> Error {
    let (labels, config) = (labels(), short());
    let outcome = dataset(Axis::Y, None, read).serve(
        &mut model(),
        monitor,
        || Ok(()),
        |model, volume, monitor| fine_tune(model, volume, &labels, &config, monitor),
    );
    outcome.map(|_| ()).unwrap_err()
}

#[test]
fn what_goes_wrong_is_told_where_it_went_wrong() {
    let voxels = voxels();
    let mut n_reads = 0;
    let broken = |indices: &[usize], out: &mut [f32]| {
        n_reads += 1;
        copy(&voxels, indices, out);
        match n_reads {
            5 => Err(Error::new(ErrorKind::Io, "the disk is gone")),
            _ => Ok(()),
        }
    };
    let error = error_of(broken, &mut Monitor::silent());
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Io, "the disk is gone"));

    // Of box 7 all but the first section and a voxel is left out.
    let cut_short = |indices: &[usize], out: &mut [f32]| {
        let n = out.len() / indices.len();
        copy(&voxels, indices, out);
        if let Some(place) = indices.iter().position(|index| *index == 7) {
            out[place * n + 16 * 20 + 1..(place + 1) * n].fill(f32::NAN);
        }
        Ok(())
    };
    let error = error_of(cut_short, &mut Monitor::silent());
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    let expected = "box 7: 5439 voxels are NaN or infinite, the first at z=1, y=0, x=1";
    assert_eq!(error.to_string(), expected);
    let error = error_of(|_, _| Ok(()), &mut Monitor::silent());
    assert!(error.to_string().contains("5760 voxels are NaN"), "{error}");
}

#[test]
fn it_stops_when_it_is_told_to() {
    let voxels = voxels();
    let raised = AtomicBool::new(false);
    let mut n_reads = 0;
    let read = |indices: &[usize], out: &mut [f32]| {
        n_reads += 1;
        raised.store(n_reads >= 3, Ordering::Relaxed);
        copy(&voxels, indices, out);
        Ok(())
    };
    let flag = &mut Monitor::new(|_| true, || raised.load(Ordering::Relaxed), log_nothing());
    let error = error_of(read, flag);
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(error.to_string(), stopped().to_string());
    assert!(n_reads < 6, "{n_reads}");

    let all = |indices: &[usize], out: &mut [f32]| {
        copy(&voxels, indices, out);
        Ok(())
    };
    let error = error_of(all, &mut Monitor::new(|_| false, || false, log_nothing()));
    assert_eq!(error.to_string(), "stopped by the progress callback");
}

/// A panic on either side comes out with its message, and nobody waits for ever.
#[test]
fn panics_come_out() {
    let text =
        |outcome: thread::Result<Result<()>>| *outcome.unwrap_err().downcast::<&str>().unwrap();
    let read = |_: &[usize], _: &mut [f32]| panic!("in the reader");
    let fetch = |_: &Model, volume: &Volume<'_>, _: &mut Monitor<'_>| {
        volume.gather(&[0], Device::Cpu).map(|_| ())
    };
    let (mut model, mut monitor) = (model(), Monitor::silent());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        dataset(Axis::Z, None, read).serve(&mut model, &mut monitor, || Ok(()), fetch)
    }));
    assert_eq!(text(outcome), "in the reader");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let all = dataset(Axis::Z, None, |_, _| Ok(()));
        all.serve(&mut model, &mut monitor, || Ok(()), |_, _, _| panic!("at work"))
    }));
    assert_eq!(text(outcome), "at work");
}

/// A training that was stopped after its first epoch and goes on; what it fetched in each part.
fn stopped_and_resumed(
    path: &Path,
    identity: [Option<&str>; 2],
    voxels: [&[f32]; 2],
) -> (Result<Model>, [usize; 2]) {
    let (labels, mut model) = (labels(), model());
    let config = FineTune { checkpoint: Some(path.to_owned()), ..resumable() };
    let mut n_fetched = [0; 2];
    let mut part = |part: usize, monitor: &mut Monitor<'_>| {
        let read = |indices: &[usize], out: &mut [f32]| {
            n_fetched[part] += indices.len();
            copy(voxels[part], indices, out);
            Ok(())
        };
        dataset(Axis::Z, identity[part], read).serve(&mut model, monitor, || Ok(()), {
            |model, volume, monitor| fine_tune(model, volume, &labels, &config, monitor)
        })
    };
    let stopping = |progress: &Progress| progress.epoch < 2;
    let stopped = part(0, &mut Monitor::new(stopping, || false, log_nothing()));
    assert_eq!(stopped.map(|_| ()).unwrap_err().kind(), ErrorKind::Cancelled);
    let resumed = part(1, &mut Monitor::silent());
    (resumed, n_fetched)
}

#[test]
fn a_training_goes_on_if_the_voxels_are_known_or_vouched_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (voxels, labels) = (voxels(), labels());
    let volume = volume(&voxels, Axis::Z);
    let config = resumable();
    let expected = fine_tune(&model(), &volume, &labels, &config, &mut Monitor::silent()).unwrap();

    let (resumed, read_all) = stopped_and_resumed(&path("a"), [None; 2], [&voxels; 2]);
    assert_eq!(bits(&resumed.unwrap()), bits(&expected));
    let named = [Some("set of May"); 2];
    let (resumed, vouched) = stopped_and_resumed(&path("b"), named, [&voxels; 2]);
    assert_eq!(bits(&resumed.unwrap()), bits(&expected));
    // Without a name all 11 that have a label are read once more, in each part.
    assert_eq!(read_all.map(|n| n - 11), vouched);

    let mut others = voxels.clone();
    others[17] += 1.0;
    let (refused, _) = stopped_and_resumed(&path("c"), [None; 2], [&voxels, &others]);
    assert_eq!(refused.map(|_| ()).unwrap_err().kind(), ErrorKind::ModelMismatch);
    let named = [Some("set of May"), Some("set of June")];
    let (refused, _) = stopped_and_resumed(&path("d"), named, [&voxels; 2]);
    assert_eq!(refused.map(|_| ()).unwrap_err().kind(), ErrorKind::ModelMismatch);
}
