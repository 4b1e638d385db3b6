//! Calls that need no model: versions, structs, contexts, evaluation, splits.

use std::{ffi::c_char, fs::File, ptr};

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::{
    draw::{Buffer, Draw, Padded},
    world::{World, call, check_len, initialised},
};

pub fn run(world: &World, log: &mut File, draw: &mut Draw) {
    match draw.below(8) {
        0 => questions(world, log, draw),
        1 | 2 => structs(world, log, draw),
        3 => contexts(world, log, draw),
        4 | 5 => evaluation(world, log, draw),
        6 => split(world, log, draw),
        _ => cancels(world, log, draw),
    }
}

fn questions(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    call(world, log, draw, "questions", |call, draw| {
        let ids = [c"cinetomo.pick/1", c"cinetomo.pick/2", c"", c"\xff", c"cinetomo.dataset/1"];
        let number = draw.bits() as i32;
        // SAFETY: valid arguments, and handles that are checked.
        unsafe {
            assert_eq!((api.abi_version)(), 1);
            assert!(!(api.version)().is_null());
            assert!(!(api.status_name)(number).is_null());
            (api.get_extension)(draw.of(&ids).as_ptr());
            (api.get_extension)(ptr::null());
            let model = world.handle::<cinetomo_error>(&world.models, draw);
            (api.error_status)(model);
            assert!(!(api.error_message)(model).is_null());
            (api.error_free)(model);
            (world.synthetic.phantom_name)(draw.below(9));
            (world.synthetic.phantom_name)(usize::MAX);
            let mut info = Padded::new(initialised(api.runtime_info_init))
                .size(draw, |info| &mut info.struct_size);
            (api.runtime_info_get)(&mut info.value, call.out_error())
        }
    });
}

fn structs(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    let (synthetic, picker, project2d) = (world.synthetic, world.picker, world.project2d);
    macro_rules! init {
        ($($name:literal $init:expr => $type:ty),* $(,)?) => {{
            let chosen = draw.below([$($name),*].len());
            let mut index = 0;
            $(
                if index == chosen {
                    call(world, log, draw, $name, |_, draw| {
                        let known = size_of::<$type>();
                        let size = draw.of(&[known, known, known - 8, known + 8, 0, 4096, 4097, usize::MAX]);
                        let mut memory = Buffer::new(520, 0xa5a5_a5a5_a5a5_a5a5u64);
                        // SAFETY: the memory is larger than any size that is accepted.
                        let status = unsafe { $init(memory.pointer().cast::<$type>(), size) };
                        let n_written = if status == 0 { size.div_ceil(8) } else { 0 };
                        memory.check(n_written, $name);
                        // SAFETY: NULL is refused.
                        assert_eq!(unsafe { $init(ptr::null_mut(), known) }, Status::NullArgument as i32);
                        status
                    });
                }
                index += 1;
            )*
            let _ = index;
        }};
    }
    init!(
        "runtime_info_init" (api.runtime_info_init) => cinetomo_runtime_info,
        "context_options_init" (api.context_options_init) => cinetomo_context_options,
        "hooks_init" (api.hooks_init) => cinetomo_hooks,
        "volume_init" (api.volume_init) => cinetomo_volume,
        "preprocess_init" (api.preprocess_init) => cinetomo_preprocess,
        "model_options_init" (api.model_options_init) => cinetomo_model_options,
        "fine_tune_options_init" (api.fine_tune_options_init) => cinetomo_fine_tune_options,
        "model_info_init" (api.model_info_init) => cinetomo_model_info,
        "metrics_init" (api.metrics_init) => cinetomo_metrics,
        "split_options_init" (api.split_options_init) => cinetomo_split_options,
        "calibration_options_init" (api.calibration_options_init) => cinetomo_calibration_options,
        "confidence_init" (api.confidence_init) => cinetomo_confidence,
        "predictions_init" (api.predictions_init) => cinetomo_predictions,
        "grad_cam_options_init" (api.grad_cam_options_init) => cinetomo_grad_cam_options,
        "synthetic.options_init" (synthetic.options_init) => cinetomo_synthetic_options,
        "synthetic.liu_2020" (synthetic.options_init_liu_2020) => cinetomo_synthetic_options,
        "dataset_init" (world.datasets.dataset_init) => cinetomo_dataset,
        "pick.tomogram_init" (picker.tomogram_init) => cinetomo_tomogram,
        "pick.options_init" (picker.pick_options_init) => cinetomo_pick_options,
        "extract.options_init" (picker.extract_options_init) => cinetomo_extract_options,
        "tsne.options_init" (project2d.options_init) => cinetomo_tsne_options,
        "separation_init" (project2d.separation_init) => cinetomo_separation,
    );
    call(world, log, draw, "presets", |_, draw| {
        let mut training = Padded::new(initialised(api.fine_tune_options_init));
        let mut preprocess = Padded::new(initialised(api.preprocess_init));
        let preset = draw.of(&[-1, 0, 1, 2, 3, 4, i32::MAX]);
        let size = draw.of(&[size_of::<cinetomo_preprocess>(), 0, 4096, usize::MAX]);
        // SAFETY: the memory is larger than any size that is accepted.
        unsafe {
            (api.fine_tune_options_preset)(&mut training.value, size, preset);
            (api.preprocess_preset)(&mut preprocess.value, size, preset)
        }
    });
}

unsafe extern "C" fn log_line(_: *mut std::ffi::c_void, level: i32, message: *const c_char) {
    // SAFETY: terminated, as the contract says.
    let text = unsafe { std::ffi::CStr::from_ptr(message) }.to_str().expect("UTF-8");
    assert!((1..=5).contains(&level) && !text.contains('\n'), "{level}: {text}");
}

fn contexts(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    if draw.once_in(4) {
        call(world, log, draw, "context_free", |_, draw| {
            let context = match draw.once_in(2) {
                true => world.take(&world.contexts, draw),
                // Of another type: nothing happens.
                false => world.handle::<cinetomo_model>(&world.models, draw).cast(),
            };
            // SAFETY: handles are checked.
            unsafe { (api.context_free)(context) };
            0
        });
    }
    call(world, log, draw, "context_new", |call, draw| {
        let mut options = cinetomo_context_options {
            device: cinetomo_device::Cpu as i32,
            n_threads: draw.of(&[0, 1, 1, 2]),
            log: Some(log_line),
            log_level: draw.below(6) as i32,
            ..initialised(api.context_options_init)
        };
        let o = &mut options;
        draw.spoil(&mut [
            &mut o.device,
            &mut o.device_index,
            &mut o.n_threads,
            &mut o.log_level,
            &mut o.precision,
            &mut o.reserved,
        ]);
        let options = Padded::new(options).size(draw, |o| &mut o.struct_size);
        let mut out = ptr::without_provenance_mut(5);
        let place = if draw.fault(20) { ptr::null_mut() } else { &raw mut out };
        // SAFETY: valid or NULL.
        let status = unsafe { (api.context_new)(&options.value, place, call.out_error()) };
        if status == 0 {
            world.keep(&world.contexts, out);
        } else {
            assert_eq!(out.addr(), 5, "output on failure");
        }
        status
    });
}

fn cancels(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    call(world, log, draw, "cancels", |call, draw| {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments, and handles that are checked.
        unsafe {
            match draw.below(4) {
                0 => (api.cancel_free)(world.take(&world.cancels, draw)),
                1 => (api.cancel_raise)(world.handle(&world.cancels, draw)),
                _ => {}
            }
            let status = (api.cancel_new)(&mut out, call.out_error());
            world.keep(&world.cancels, out);
            status
        }
    });
}

/// An array that lies about nothing: its pointer and its length, or NULL, or a length that no array has.
pub fn array<T>(values: &[T], draw: &mut Draw) -> (*const T, usize) {
    match if draw.is_sane { 9 } else { draw.below(12) } {
        0 => (ptr::null(), values.len()),
        1 => (ptr::null(), 0),
        2 => (values.as_ptr(), usize::MAX),
        3 => (values.as_ptr(), isize::MAX as usize / size_of::<T>() + 1),
        4 if size_of::<T>() > 1 => (values.as_ptr().wrapping_byte_add(1), values.len() - 1),
        5 => (values.as_ptr(), draw.below(values.len() + 1)),
        _ => (values.as_ptr(), values.len()),
    }
}

/// A capacity for a result that is about `len` long: none, too little, enough.
pub fn capacity(len: usize, draw: &mut Draw) -> usize {
    match draw.is_sane {
        true => draw.of(&[len, len, len, len + 3, 0]),
        false => draw.of(&[0, 1, len.saturating_sub(1), len, len + 3]),
    }
}

fn evaluation(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    let n_classes = draw.of(&[1, 2, 2, 3, 5]);
    let n = draw.of(&[0, 1, 5, 12, 19]);
    let mut scores: Vec<f32> = (0..n * n_classes).map(|_| draw.unit() as f32).collect();
    if draw.once_in(2) {
        for row in scores.chunks_mut(n_classes) {
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|score| *score /= sum);
        }
    }
    if draw.once_in(12) && !scores.is_empty() {
        let index = draw.below(scores.len());
        scores[index] = draw.of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -1.0, 0.0]);
    }
    let mut labels: Vec<i32> = (0..n).map(|_| draw.below(n_classes + 1) as i32 - 1).collect();
    if draw.once_in(12) && n > 0 {
        let index = draw.below(n);
        labels[index] = draw.of(&[-2, n_classes as i32, i32::MAX, i32::MIN]);
    }
    let mut n_stated = n_classes;
    draw.spoil(&mut [&mut n_stated]);
    // What a caller may state of a buffer that has this room.
    let room = capacity(n_classes * n_classes + n + 20, draw);
    let name = draw.of(&["evaluate", "evaluate_classes", "evaluate_roc", "evaluate_reliability"]);
    call(world, log, draw, name, |call, draw| {
        let ((s, n_s), (l, n_l)) = (array(&scores, draw), array(&labels, draw));
        let (mut len, error) = (7, call.out_error());
        let out_len = &raw mut len;
        // SAFETY: arrays are as long as stated, or such that the library must see that they cannot be.
        unsafe {
            match name {
                "evaluate" => {
                    let mut out = Buffer::new(room, -3i64);
                    let mut metrics = Padded::new(initialised(api.metrics_init))
                        .size(draw, |metrics| &mut metrics.struct_size);
                    let status = (api.evaluate)(
                        s,
                        n_s,
                        l,
                        n_l,
                        n_stated,
                        &mut metrics.value,
                        out.pointer(),
                        room,
                        out_len,
                        error,
                    );
                    out.check(check_len(name, status, room, len), name);
                    status
                }
                "evaluate_classes" => {
                    let mut out = Buffer::new(room, cinetomo_class_metrics::default());
                    let status = (api.evaluate_classes)(
                        s,
                        n_s,
                        l,
                        n_l,
                        n_stated,
                        out.pointer(),
                        room,
                        out_len,
                        error,
                    );
                    out.check(check_len(name, status, room, len), name);
                    status
                }
                "evaluate_roc" => {
                    let mut out = Buffer::new(room, cinetomo_roc_point::default());
                    let class = draw.of(&[0, 1, n_classes, usize::MAX]);
                    let status = (api.evaluate_roc)(
                        s,
                        n_s,
                        l,
                        n_l,
                        n_stated,
                        class,
                        out.pointer(),
                        room,
                        out_len,
                        error,
                    );
                    out.check(check_len(name, status, room, len), name);
                    status
                }
                _ => {
                    let mut out = Buffer::new(room, cinetomo_reliability_bin::default());
                    let bins = draw.of(&[0, 1, 15, 15, 1000, 1 << 40, usize::MAX]);
                    let status = (api.evaluate_reliability)(
                        s,
                        n_s,
                        l,
                        n_l,
                        n_stated,
                        bins,
                        out.pointer(),
                        room,
                        out_len,
                        error,
                    );
                    out.check(check_len(name, status, room, len), name);
                    status
                }
            }
        }
    });
}

fn split(world: &World, log: &mut File, draw: &mut Draw) {
    let api = world.api;
    let n = draw.below(40);
    let labels: Vec<i32> = (0..n).map(|_| draw.below(4) as i32 - draw.below(2) as i32).collect();
    let groups: Vec<i32> = (0..n).map(|_| draw.below(5) as i32 - draw.below(2) as i32).collect();
    call(world, log, draw, "split", |call, draw| {
        let mut options = initialised(api.split_options_init);
        let o = &mut options;
        draw.spoil(&mut [
            &mut o.training_fraction,
            &mut o.validation_fraction,
            &mut o.test_fraction,
            &mut o.seed,
        ]);
        let options = Padded::new(options).size(draw, |o| &mut o.struct_size);
        let (l, n_labels) = array(&labels, draw);
        let is_whole = n_labels == n && !l.is_null();
        let groups = if draw.once_in(2) && is_whole { groups.as_ptr() } else { ptr::null() };
        let room = capacity(n, draw);
        let (mut out, mut len) = (Buffer::new(room, -9), 7);
        // SAFETY: as in `evaluation`.
        let status = unsafe {
            (api.split)(
                l,
                groups,
                n_labels,
                &options.value,
                out.pointer(),
                room,
                &mut len,
                call.out_error(),
            )
        };
        out.check(check_len("split", status, room, len), "split");
        assert!(
            out.values()[..if status == 0 && room > 0 { len } else { 0 }]
                .iter()
                .all(|part| (0..=3).contains(part))
        );
        status
    });
}
