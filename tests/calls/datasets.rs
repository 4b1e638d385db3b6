//! Calls of `cinetomo.dataset/1`: subtomograms that the host fetches.

use std::{
    ffi::{c_char, c_void},
    fs::File,
    ptr, slice,
    thread::{self, ThreadId},
};

use cinetomo_abi::*;

use crate::{
    draw::{Buffer, Draw, Padded},
    models::{array_of_labels, calibration, finish, labels, maybe},
    small::capacity,
    world::{World, call, check_len, initialised},
};

pub fn run(world: &World, log: &mut File, draw: &mut Draw) {
    while let Some(model) = world.surplus() {
        // SAFETY: handles are checked.
        unsafe { (world.api.model_free)(model) }
    }
    match draw.below(5) {
        0..=2 => classify(world, log, draw),
        3 => calibrate(world, log, draw),
        _ => fine_tune(world, log, draw),
    }
}

/// What a reader of subtomograms does.
struct Reader {
    thread: ThreadId,
    n: i64,
    n_voxels: usize,
    /// Reads that succeed before one fails; negative = all.
    n_good: i64,
    /// Voxels of a box that are written; the others stay NaN.
    n_written: usize,
    has_failed: bool,
}

unsafe extern "C" fn read(
    reader: *mut c_void,
    indices: *const i64,
    n_indices: usize,
    out: *mut f32,
    message: *mut c_char,
    message_capacity: usize,
) -> i32 {
    // SAFETY: the reader of this call, as many indices as it says, and room for their voxels and for the message.
    let (reader, indices, out, message) = unsafe {
        let reader = &mut *reader.cast::<Reader>();
        let n = n_indices * reader.n_voxels;
        let indices = slice::from_raw_parts(indices, n_indices);
        let out = slice::from_raw_parts_mut(out, n);
        (reader, indices, out, slice::from_raw_parts_mut(message.cast::<u8>(), message_capacity))
    };
    assert_eq!(thread::current().id(), reader.thread, "on another thread");
    assert!(!reader.has_failed, "read again after it failed");
    assert!(indices.iter().all(|index| (0..reader.n).contains(index)), "{indices:?}");
    assert!(out.iter().all(|voxel| voxel.is_nan()) && message.iter().all(|byte| *byte == 0));
    for (index, voxels) in indices.iter().zip(out.chunks_exact_mut(reader.n_voxels)) {
        for (place, voxel) in voxels[..reader.n_written].iter_mut().enumerate() {
            *voxel = (place as f32 * 0.37 + *index as f32).sin();
        }
    }
    reader.n_good -= 1;
    reader.has_failed = reader.n_good == -1;
    if reader.has_failed {
        // With and without an end.
        message.fill(b'\xfe');
    }
    i32::from(reader.has_failed) * -7
}

fn dataset(world: &World, draw: &mut Draw) -> (Padded<cinetomo_dataset>, Box<Reader>) {
    let mut edge = || draw.of(&[8, 8, 11, 16, 16]);
    let mut dataset = cinetomo_dataset {
        shape: [4, edge(), edge(), edge()],
        contrast: draw.below(3) as i32,
        beam_axis: draw.of(&[0, 0, 1, 2]),
        identity: draw.of(&[ptr::null(), ptr::null(), c"a set".as_ptr(), c"\xff".as_ptr()]),
        read: if draw.fault(8) { None } else { Some(read) },
        ..initialised(world.datasets.dataset_init)
    };
    let d = &mut dataset;
    if !draw.is_sane {
        draw.spoil(&mut [&mut d.shape, &mut d.voxel_size, &mut d.contrast, &mut d.beam_axis]);
    }
    let n_voxels = dataset.shape[1..].iter().try_fold(1i64, |n, &edge| n.checked_mul(edge));
    let n_voxels = n_voxels.unwrap_or(0).max(0) as usize;
    let mut reader = Box::new(Reader {
        thread: thread::current().id(),
        n: dataset.shape[0],
        n_voxels,
        n_good: draw.of(&[-1, -1, -1, 0, 1, 3]),
        n_written: if draw.once_in(6) { n_voxels / 2 } else { n_voxels },
        has_failed: false,
    });
    dataset.user_data = ptr::from_mut(&mut *reader).cast();
    (Padded::new(dataset).size(draw, |dataset| &mut dataset.struct_size), reader)
}

fn classify(world: &World, log: &mut File, draw: &mut Draw) {
    call(world, log, draw, "dataset.classify", |call, draw| {
        let (dataset, _reader) = dataset(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let room = capacity(4 * 3, draw);
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        // SAFETY: valid or such that the library must see that they are not.
        let status = unsafe {
            (world.datasets.classify)(
                model,
                maybe(&dataset.value, draw),
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                call.out_error(),
            )
        };
        let n_written = check_len("dataset.classify", status, room, len);
        out.check(n_written, "dataset.classify");
        assert!(out.values()[..n_written].iter().all(|value| (0.0..=1.0).contains(value)));
        status
    });
}

fn calibrate(world: &World, log: &mut File, draw: &mut Draw) {
    let labels = labels(draw);
    call(world, log, draw, "dataset.calibrate", |call, draw| {
        let (dataset, _reader) = dataset(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let options = calibration(world, draw);
        let (l, n_labels) = array_of_labels(&labels, dataset.value.shape[0], draw);
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: as above.
        let status = unsafe {
            (world.datasets.calibrate)(
                model,
                maybe(&dataset.value, draw),
                l,
                n_labels,
                maybe(&options.value, draw),
                &hooks.value,
                &mut out,
                call.out_error(),
            )
        };
        finish(world, status, out);
        status
    });
}

fn fine_tune(world: &World, log: &mut File, draw: &mut Draw) {
    let labels = labels(draw);
    call(world, log, draw, "dataset.fine_tune", |call, draw| {
        let (dataset, _reader) = dataset(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let mut options = cinetomo_fine_tune_options {
            n_epochs: draw.of(&[0, 1, 1, 2]),
            batch_size: draw.of(&[1, 2, 4]),
            head: draw.below(5) as i32,
            augment: draw.of(&[0, 1, 255]),
            validation_fraction: draw.of(&[0.0, 0.5]),
            ..initialised(world.api.fine_tune_options_init)
        };
        if draw.once_in(4) {
            options.checkpoint = world.files[draw.below(12)].as_ptr();
        }
        let (l, n_labels) = array_of_labels(&labels, dataset.value.shape[0], draw);
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: as above.
        let status = unsafe {
            (world.datasets.fine_tune)(
                model,
                maybe(&dataset.value, draw),
                l,
                n_labels,
                &options,
                &hooks.value,
                &mut out,
                call.out_error(),
            )
        };
        finish(world, status, out);
        status
    });
}
