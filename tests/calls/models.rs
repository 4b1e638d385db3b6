//! Calls that make, use and keep models.

use std::{
    ffi::{CStr, c_char},
    fs::File,
    ptr,
};

use cinetomo_abi::*;

use crate::{
    draw::{Buffer, Draw, Padded},
    small::{array, capacity},
    world::{N_VOXELS, World, call, check_len, initialised},
};

/// Networks of the registry, the quick ones more often.
const BACKBONES: [&CStr; 16] = [
    c"i3d",
    c"i3d",
    c"s3d",
    c"s3d",
    c"s3d",
    c"resnet3d_10",
    c"resnet3d_10(shortcut=b)",
    c"mc3_18",
    c"r2plus1d_18",
    c"swin3d_t",
    c"mvit_v2_s",
    c"mvit_v1_b",
    c"resnet3d_10(conv1_t_stride=2,no_max_pool=true)",
    c"resnet3d_10(",
    c"vgg",
    c"",
];

pub fn run(world: &World, log: &mut File, draw: &mut Draw) {
    while let Some(model) = world.surplus() {
        // SAFETY: handles are checked.
        unsafe { (world.api.model_free)(model) }
    }
    match draw.below(24) {
        0..=2 => make(world, log, draw),
        3..=6 => infer(world, log, draw),
        7 | 8 => predict(world, log, draw),
        9 | 10 => explain(world, log, draw),
        11..=13 => train(world, log, draw),
        14 | 15 => calibrate(world, log, draw),
        16 | 17 => files(world, log, draw),
        18 => free(world, log, draw),
        _ => questions(world, log, draw),
    }
}

/// A volume that tells the truth about its memory, or something that must be seen to be wrong.
pub fn volume(world: &World, draw: &mut Draw) -> Padded<cinetomo_volume> {
    let mut edge = || draw.of(&[1, 2, 3, 5, 7, 8, 8, 11, 16, 16, 16, 16, 16, 16]);
    let shape = [draw_n(edge()), edge(), edge(), edge()];
    let voxels = match draw.once_in(6) {
        true => &world.voxels[draw.below(world.voxels.len())],
        false => &world.voxels[0],
    };
    let mut volume = cinetomo_volume {
        data: voxels.as_ptr().cast(),
        data_bytes: N_VOXELS * 4,
        shape,
        dtype: draw.of(&[0, 0, 0, 0, 1, 2, 3, 4, 5]),
        voxel_size: draw.of(&[0.0, 10.0]),
        contrast: draw.below(3) as i32,
        beam_axis: draw.of(&[0, 0, 1, 2]),
        ..initialised(world.api.volume_init)
    };
    let v = &mut volume;
    draw.spoil(&mut [
        &mut v.shape,
        &mut v.strides,
        &mut v.voxel_size,
        &mut v.dtype,
        &mut v.memory,
        &mut v.memory_index,
        &mut v.contrast,
        &mut v.beam_axis,
        &mut v.reserved,
    ]);
    if draw.once_in(12) {
        // Every stride of its own, overlapping or not.
        volume.strides = [0; 4].map(|_: i64| draw.of(&[0, 1, 2, 16, 256, 4096]));
    }
    match if draw.is_sane { 9 } else { draw.below(20) } {
        0 => volume.data = ptr::null(),
        1 => volume.data = volume.data.wrapping_byte_add(1),
        // Fewer bytes than there are.
        2 => volume.data_bytes = draw.of(&[1, 100]),
        _ => {}
    }
    Padded::new(volume).size(draw, |volume| &mut volume.struct_size)
}

/// One to eight subtomograms.
fn draw_n(edge: i64) -> i64 {
    edge.min(8)
}

pub fn maybe<T>(pointer: &T, draw: &mut Draw) -> *const T {
    if draw.fault(12) { ptr::null() } else { pointer }
}

fn preprocess(world: &World, draw: &mut Draw) -> Padded<cinetomo_preprocess> {
    let mut preprocess = cinetomo_preprocess {
        n_views: draw.of(&[1, 1, 4, 8]),
        normalization: draw.below(5) as i32,
        interpolation: draw.below(3) as i32,
        contrast: draw.below(3) as i32,
        input_size: draw.of(&[[0; 3], [0; 3], [8, 16, 16], [4, 8, 8], [1, 1, 1], [3, 5, 7]]),
        ..initialised(world.api.preprocess_init)
    };
    let p = &mut preprocess;
    draw.spoil(&mut [
        &mut p.input_size,
        &mut p.percentile_low,
        &mut p.percentile_high,
        &mut p.normalization,
        &mut p.interpolation,
        &mut p.contrast,
        &mut p.n_views,
        &mut p.fixed_mean,
        &mut p.fixed_deviation,
    ]);
    Padded::new(preprocess).size(draw, |preprocess| &mut preprocess.struct_size)
}

fn make(world: &World, log: &mut File, draw: &mut Draw) {
    let names = [
        c"a".as_ptr(),
        c"b".as_ptr(),
        draw.of(&[c"c".as_ptr(), c"a".as_ptr(), c"".as_ptr(), ptr::null(), c"\xff".as_ptr()]),
    ];
    let name = draw.of(&["model_random", "model_random", "model_random", "model_from_video"]);
    call(world, log, draw, name, |call, draw| {
        let preprocess = preprocess(world, draw);
        let n_classes = draw.of(&[2, 3, 3, 3]);
        let mut options = cinetomo_model_options {
            backbone: BACKBONES[draw.below(BACKBONES.len() - if draw.is_sane { 3 } else { 0 })]
                .as_ptr(),
            n_classes,
            class_names: if draw.once_in(3) { names.as_ptr() } else { ptr::null() },
            preprocess: if draw.once_in(2) { &preprocess.value } else { ptr::null() },
            seed: draw.bits(),
            ..initialised(world.api.model_options_init)
        };
        if draw.fault(4) {
            options.class_names = ptr::null();
            options.n_classes = draw.of(&[0, 1, 1000, 1 << 40, usize::MAX]);
        }
        draw.spoil(&mut [&mut options.dropout, &mut options.seed]);
        let options = Padded::new(options).size(draw, |options| &mut options.struct_size);
        let hooks = call.hooks(draw);
        let context = world.handle(&world.contexts, draw);
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid or such that the library must see that they are not.
        let status = unsafe {
            match name {
                "model_random" => (world.api.model_random)(
                    context,
                    maybe(&options.value, draw),
                    &mut out,
                    call.out_error(),
                ),
                _ => (world.api.model_from_video)(
                    context,
                    world.file(draw),
                    maybe(&options.value, draw),
                    &hooks.value,
                    &mut out,
                    call.out_error(),
                ),
            }
        };
        finish(world, status, out);
        status
    });
}

pub fn finish(world: &World, status: i32, out: *mut cinetomo_model) {
    match status {
        0 => world.keep(&world.models, out),
        _ => assert_eq!(out.addr(), 5, "output on failure"),
    }
}

fn infer(world: &World, log: &mut File, draw: &mut Draw) {
    let name = draw.of(&["model_classify", "model_classify", "model_embed"]);
    call(world, log, draw, name, |call, draw| {
        let volume = volume(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let (is_classify, n) =
            (name == "model_classify", volume.value.shape[0].clamp(1, 8) as usize);
        let room = capacity(n * if is_classify { 3 } else { 1024 }, draw);
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        let function = if is_classify { world.api.model_classify } else { world.api.model_embed };
        // SAFETY: as above.
        let status = unsafe {
            function(
                model,
                maybe(&volume.value, draw),
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                call.out_error(),
            )
        };
        let n_written = check_len(name, status, room, len);
        out.check(n_written, name);
        let range = if is_classify { 0.0..=1.0 } else { f32::MIN..=f32::MAX };
        let wrong = out.values()[..n_written].iter().find(|value| !range.contains(*value));
        assert_eq!(wrong, None, "{name}");
        status
    });
}

fn predict(world: &World, log: &mut File, draw: &mut Draw) {
    call(world, log, draw, "model_predict", |call, draw| {
        let volume = volume(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let n = volume.value.shape[0].clamp(1, 8) as usize;
        let rooms = [capacity(n, draw), capacity(3 * n, draw), capacity(n, draw)];
        let mut labels = Buffer::new(rooms[0], -9);
        let mut probabilities = Buffer::new(rooms[1], -9.0f32);
        let mut distances = Buffer::new(rooms[2], -9.0f32);
        let out = cinetomo_predictions {
            labels: labels.pointer(),
            labels_capacity: rooms[0],
            probabilities: probabilities.pointer(),
            probabilities_capacity: rooms[1],
            distances: if draw.once_in(4) { distances.pointer() } else { ptr::null_mut() },
            distances_capacity: rooms[2],
            ..initialised(world.api.predictions_init)
        };
        let out = Padded::new(out).size(draw, |out| &mut out.struct_size);
        let reject = draw.of(&[0, 0, 0, 1, 2, 3, 4, -1]);
        // SAFETY: as above.
        let status = unsafe {
            (world.api.model_predict)(
                model,
                maybe(&volume.value, draw),
                reject,
                &hooks.value,
                maybe(&out.value, draw),
                call.out_error(),
            )
        };
        let written = |room: usize| if status == 0 { room } else { 0 };
        labels.check(written(rooms[0]), "labels");
        probabilities.check(written(rooms[1]), "probabilities");
        distances.check(written(rooms[2]), "distances");
        status
    });
}

fn explain(world: &World, log: &mut File, draw: &mut Draw) {
    call(world, log, draw, "model_grad_cam", |call, draw| {
        let volume = volume(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let stages: [*const c_char; 8] = [
            ptr::null(),
            ptr::null(),
            c"layer3".as_ptr(),
            c"layer1".as_ptr(),
            c"Mixed_4f".as_ptr(),
            c"head".as_ptr(),
            c"".as_ptr(),
            c"\xff".as_ptr(),
        ];
        let mut options = cinetomo_grad_cam_options {
            stage: draw.of(&stages),
            method: draw.below(2) as i32,
            ..initialised(world.api.grad_cam_options_init)
        };
        let o = &mut options;
        draw.spoil(&mut [&mut o.class_index, &mut o.method, &mut o.rectify, &mut o.reserved]);
        let options = Padded::new(options).size(draw, |options| &mut options.struct_size);
        let n_voxels = volume.value.shape.iter().try_fold(1i64, |n, &e| n.checked_mul(e.max(1)));
        let room = capacity(n_voxels.unwrap_or(1).clamp(1, N_VOXELS as i64) as usize, draw);
        let (mut out, mut len) = (Buffer::new(room, -9.5f32), 7);
        // SAFETY: as above.
        let status = unsafe {
            (world.api.model_grad_cam)(
                model,
                maybe(&volume.value, draw),
                maybe(&options.value, draw),
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                call.out_error(),
            )
        };
        let n_written = check_len("grad_cam", status, room, len);
        out.check(n_written, "grad_cam");
        assert!(out.values()[..n_written].iter().all(|value| value.is_finite()), "grad_cam");
        status
    });
}

pub fn calibration(world: &World, draw: &mut Draw) -> Padded<cinetomo_calibration_options> {
    let mut options = cinetomo_calibration_options {
        reject: draw.below(4) as i32,
        ..initialised(world.api.calibration_options_init)
    };
    let o = &mut options;
    draw.spoil(&mut [&mut o.precision, &mut o.coverage, &mut o.temperature, &mut o.reject]);
    Padded::new(options).size(draw, |options| &mut options.struct_size)
}

pub fn labels(draw: &mut Draw) -> Vec<i32> {
    let mut labels: Vec<i32> =
        (0..8).map(|_| draw.below(3) as i32 - i32::from(draw.once_in(6))).collect();
    if draw.fault(8) {
        labels[draw.below(8)] = draw.of(&[3, -2, i32::MAX, i32::MIN]);
    }
    labels
}

/// Labels for a volume: mostly one each.
pub fn array_of_labels(labels: &[i32], n: i64, draw: &mut Draw) -> (*const i32, usize) {
    match draw.fault(6) {
        true => array(labels, draw),
        false => (labels.as_ptr(), n.clamp(0, 8) as usize),
    }
}

fn train(world: &World, log: &mut File, draw: &mut Draw) {
    let labels = labels(draw);
    let milestones = [1, 3, draw.of(&[5, 2, -1, i32::MAX])];
    call(world, log, draw, "model_fine_tune", |call, draw| {
        let volume = volume(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let calibration = calibration(world, draw);
        let mut options = cinetomo_fine_tune_options {
            n_epochs: draw.of(&[0, 1, 1, 2]),
            batch_size: draw.of(&[1, 2, 4, 10]),
            optimizer: draw.below(3) as i32,
            schedule: draw.below(3) as i32,
            batch_norm: draw.below(4) as i32,
            head: draw.below(5) as i32,
            augment: [0, 1, 255, draw.below(256) as i32][draw.below(4)],
            regularizer: draw.below(3) as i32,
            balance: draw.below(3) as i32,
            n_frozen_stages: draw.of(&[0, 0, 1, 3]),
            validation_fraction: draw.of(&[0.0, 0.0, 0.5]),
            micro_batch_size: draw.of(&[0, 0, 1]),
            calibration: if draw.once_in(3) { &calibration.value } else { ptr::null() },
            ..initialised(world.api.fine_tune_options_init)
        };
        if draw.once_in(3) {
            options.milestones = milestones.as_ptr();
            options.n_milestones = draw.below(4);
        }
        if draw.once_in(6) {
            // Not of the system: it would be written to, were the library wrong.
            options.checkpoint = world.files[draw.below(12)].as_ptr();
        }
        let o = &mut options;
        draw.spoil(&mut [
            &mut o.learning_rate,
            &mut o.momentum,
            &mut o.weight_decay,
            &mut o.gamma,
            &mut o.validation_fraction,
            &mut o.seed,
            &mut o.n_epochs,
            &mut o.batch_size,
            &mut o.n_frozen_stages,
            &mut o.optimizer,
            &mut o.schedule,
            &mut o.batch_norm,
            &mut o.head,
            &mut o.augment,
            &mut o.select_best,
            &mut o.regularizer,
            &mut o.regularizer_strength,
            &mut o.label_smoothing,
            &mut o.stage_rate_decay,
            &mut o.balance,
            &mut o.micro_batch_size,
            &mut o.patience,
            &mut o.schedule_interval,
            &mut o.checkpoint_interval,
            &mut o.reserved,
        ]);
        let options = Padded::new(options).size(draw, |options| &mut options.struct_size);
        let (l, n_labels) = array_of_labels(&labels, volume.value.shape[0], draw);
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: as above.
        let status = unsafe {
            (world.api.model_fine_tune)(
                model,
                maybe(&volume.value, draw),
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

fn calibrate(world: &World, log: &mut File, draw: &mut Draw) {
    let labels = labels(draw);
    call(world, log, draw, "model_calibrate", |call, draw| {
        let volume = volume(world, draw);
        let hooks = call.hooks(draw);
        let model = world.handle(&world.models, draw);
        call.model = model;
        let options = calibration(world, draw);
        let (l, n_labels) = array_of_labels(&labels, volume.value.shape[0], draw);
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: as above.
        let status = unsafe {
            (world.api.model_calibrate)(
                model,
                maybe(&volume.value, draw),
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

fn files(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    let name = draw.of(&["model_save", "model_load", "model_load", "weights_inspect"]);
    call(world, log, draw, name, |call, draw| {
        // SAFETY: as above.
        unsafe {
            match name {
                "model_save" => {
                    let model = world.handle(&world.models, draw);
                    // Devices and folders of the system are not written to, whatever the library would do.
                    let path = world.files[draw.below(3)].as_ptr();
                    (api.model_save)(model, path, call.out_error())
                }
                "model_load" => {
                    let context = world.handle(&world.contexts, draw);
                    let mut out = ptr::without_provenance_mut(5);
                    let status =
                        (api.model_load)(context, world.file(draw), &mut out, call.out_error());
                    finish(world, status, out);
                    status
                }
                _ => {
                    let room = capacity(200, draw);
                    let (mut out, mut len) = (Buffer::new(room, -9i8), 7);
                    let path = world.file(draw);
                    let status = (api.weights_inspect)(
                        path,
                        out.pointer().cast(),
                        room,
                        &mut len,
                        call.out_error(),
                    );
                    out.check(check_len(name, status, room, len), name);
                    status
                }
            }
        }
    });
}

fn free(world: &World, log: &mut File, draw: &mut Draw) {
    call(world, log, draw, "model_free", |_, draw| {
        let model = match draw.once_in(2) {
            true => world.take(&world.models, draw),
            false => world.handle::<cinetomo_context>(&world.contexts, draw).cast(),
        };
        // SAFETY: handles are checked.
        unsafe { (world.api.model_free)(model) };
        0
    });
}

fn questions(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    let name = draw.of(&["model_info_get", "model_confidence_get", "memory_estimate"]);
    call(world, log, draw, name, |call, draw| {
        let model = world.handle(&world.models, draw);
        // SAFETY: as above; what an info points to is read only where nobody else frees the model.
        unsafe {
            match name {
                "model_info_get" => {
                    let mut info = Padded::new(initialised(api.model_info_init))
                        .size(draw, |info| &mut info.struct_size);
                    let status = (api.model_info_get)(model, &mut info.value, call.out_error());
                    if status == 0 && !world.is_shared && info.value.struct_size >= 128 {
                        let metadata = CStr::from_ptr(info.value.metadata_json).to_bytes();
                        serde_json::from_slice::<serde_json::Value>(metadata).expect("JSON");
                    }
                    status
                }
                "model_confidence_get" => {
                    let mut out = Padded::new(initialised(api.confidence_init))
                        .size(draw, |out| &mut out.struct_size);
                    (api.model_confidence_get)(model, &mut out.value, call.out_error())
                }
                _ => {
                    let mut numbers = [16i64, 16, 16, 4];
                    draw.spoil(&mut [&mut numbers]);
                    let [z, y, x, batch] = numbers;
                    let stage = draw.below(14) as i32 - 1;
                    let mut bytes = 7;
                    let status = (api.memory_estimate)(
                        model,
                        z,
                        y,
                        x,
                        batch,
                        stage,
                        &mut bytes,
                        call.out_error(),
                    );
                    assert!((bytes == 7) == (status != 0), "memory_estimate: {bytes}, {status}");
                    status
                }
            }
        }
    });
}
