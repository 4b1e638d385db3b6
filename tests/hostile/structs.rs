//! `struct_size`: too small, too large, from older and newer hosts.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn structs_of_any_size_are_judged() {
    let fixture = Fixture::new();
    let api = fixture.api;
    macro_rules! check_init {
        ($($init:expr => $type:ty, $first_size:expr);* $(;)?) => {$({
            // SAFETY: the memory is larger than any size that is accepted.
            unsafe {
                let mut memory = [0xa5u8; 8192];
                let pointer = memory.as_mut_ptr().cast::<$type>();
                assert_eq!($init(ptr::null_mut(), size_of::<$type>()), NULL as i32);
                for size in [0, 7, $first_size - 1, 4097, usize::MAX] {
                    assert_eq!($init(pointer, size), INVALID as i32, "{} {size}", stringify!($type));
                }
                assert!(memory.iter().all(|&byte| byte == 0xa5), "{}", stringify!($type));
                // A host that was built with a newer header: what we do not know becomes 0, nothing beyond is touched.
                let size = size_of::<$type>() + 16;
                assert_eq!($init(pointer, size), Status::Ok as i32);
                assert_eq!(pointer.cast::<usize>().read_unaligned(), size);
                assert!(memory[size - 16..size].iter().all(|&byte| byte == 0));
                assert!(memory[size..].iter().all(|&byte| byte == 0xa5));
            }
        })*};
    }
    // With the size of the type's first release, where it has grown since.
    check_init!(
        api.runtime_info_init => cinetomo_runtime_info, size_of::<cinetomo_runtime_info>();
        api.context_options_init => cinetomo_context_options, 40;
        api.hooks_init => cinetomo_hooks, size_of::<cinetomo_hooks>();
        api.volume_init => cinetomo_volume, size_of::<cinetomo_volume>();
        api.preprocess_init => cinetomo_preprocess, 64;
        api.model_options_init => cinetomo_model_options, size_of::<cinetomo_model_options>();
        api.fine_tune_options_init => cinetomo_fine_tune_options, 112;
        api.model_info_init => cinetomo_model_info, size_of::<cinetomo_model_info>();
        api.metrics_init => cinetomo_metrics, 32;
        api.split_options_init => cinetomo_split_options, size_of::<cinetomo_split_options>();
        api.calibration_options_init => cinetomo_calibration_options,
            size_of::<cinetomo_calibration_options>();
        api.confidence_init => cinetomo_confidence, size_of::<cinetomo_confidence>();
        api.predictions_init => cinetomo_predictions, size_of::<cinetomo_predictions>();
        fixture.synthetic().options_init => cinetomo_synthetic_options, 88;
        fixture.synthetic().options_init_liu_2020 => cinetomo_synthetic_options, 88;
        fixture.picker().tomogram_init => cinetomo_tomogram, size_of::<cinetomo_tomogram>();
        fixture.picker().pick_options_init => cinetomo_pick_options, size_of::<cinetomo_pick_options>();
        fixture.picker().extract_options_init => cinetomo_extract_options, size_of::<cinetomo_extract_options>();
        fixture.datasets().dataset_init => cinetomo_dataset, size_of::<cinetomo_dataset>();
        api.grad_cam_options_init => cinetomo_grad_cam_options, size_of::<cinetomo_grad_cam_options>();
        fixture.project2d().options_init => cinetomo_tsne_options, size_of::<cinetomo_tsne_options>();
        fixture.project2d().separation_init => cinetomo_separation, size_of::<cinetomo_separation>();
    );

    // Presets fill the same structs; a number that names none fills nothing.
    let (mut training, mut preprocess) =
        (fixture.fine_tune_options(), initialised(api.preprocess_init));
    (training.n_epochs, preprocess.n_views) = (77, 77);
    for preset in [-1, 4, i32::MAX] {
        // SAFETY: the structs are ours and of these sizes.
        let statuses = unsafe {
            [
                (api.fine_tune_options_preset)(&mut training, size_of_val(&training), preset),
                (api.preprocess_preset)(&mut preprocess, size_of_val(&preprocess), preset),
            ]
        };
        assert_eq!(statuses, [INVALID as i32; 2], "{preset}");
        assert_eq!((training.n_epochs, preprocess.n_views), (77, 77));
    }
    // SAFETY: as above, and NULL.
    unsafe {
        let paper = cinetomo_preset::PaperVideo as i32;
        assert_eq!((api.preprocess_preset)(&mut preprocess, size_of_val(&preprocess), paper), 0);
        assert_eq!(preprocess.input_size, [0, 128, 128]);
        assert_eq!(preprocess.normalization, cinetomo_normalization::Unit as i32);
        assert_eq!((api.preprocess_preset)(ptr::null_mut(), 80, paper), NULL as i32);
        assert_eq!((api.preprocess_preset)(&mut preprocess, 63, paper), INVALID as i32);
    }

    // A host that was built before the struct grew: what it does not know is not written.
    // SAFETY: the memory is larger than the stated size.
    unsafe {
        let mut memory = [0xa5u8; 144];
        let pointer = memory.as_mut_ptr().cast::<cinetomo_synthetic_options>();
        assert_eq!((fixture.synthetic().options_init)(pointer, 88), Status::Ok as i32);
        assert!(memory[..88].iter().any(|&byte| byte != 0xa5));
        assert!(memory[88..].iter().all(|&byte| byte == 0xa5));
    }

    /// A struct with 16 more bytes than this header knows, as a newer host would pass it.
    #[repr(C)]
    struct Newer<T> {
        known: T,
        unknown: [u64; 2],
    }
    let mut newer = Newer { known: fixture.volume(), unknown: [0; 2] };
    newer.known.struct_size += 16;
    assert_eq!(fixture.classify(&newer.known, ptr::null_mut()), Status::Ok as i32);
    newer.unknown[1] = 1;
    assert_eq!(fixture.classify(&newer.known, ptr::null_mut()), Status::Unsupported as i32);

    // A host of the first release: it knows three numbers, and nothing is written beyond them.
    let mut older = initialised(api.metrics_init);
    (older.struct_size, older.log_loss) = (32, 7.0);
    // SAFETY: valid arguments.
    let status = unsafe {
        (api.evaluate)(
            [0.25f32, 0.75].as_ptr(),
            2,
            [1].as_ptr(),
            1,
            2,
            &mut older,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    assert_eq!((status, older.struct_size, older.accuracy), (Status::Ok as i32, 32, 1.0));
    assert_eq!((older.log_loss, older.brier_score.is_nan()), (7.0, true));

    check(
        &fixture,
        &[
            ("context_new", INVALID, &["options", "struct_size is 0", "40"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        struct_size: 0,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("model_random", INVALID, &["options", "struct_size is 8"], |f, e| {
                f.random(&cinetomo_model_options { struct_size: 8, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["preprocess", "struct_size"], |f, e| {
                let preprocess =
                    cinetomo_preprocess { struct_size: 63, ..initialised(f.api.preprocess_init) };
                f.random(
                    &cinetomo_model_options { preprocess: &preprocess, ..f.model_options() },
                    e,
                )
            }),
            ("model_classify", INVALID, &["subtomograms", "struct_size"], |f, e| {
                f.classify(&cinetomo_volume { struct_size: 119, ..f.volume() }, e)
            }),
            ("model_fine_tune", INVALID, &["options", "struct_size"], |f, e| {
                f.fine_tune(
                    &cinetomo_fine_tune_options { struct_size: 24, ..f.fine_tune_options() },
                    e,
                )
            }),
            ("hooks", INVALID, &["hooks", "struct_size"], |f, e| {
                let hooks = cinetomo_hooks { struct_size: 1, ..f.hooks() };
                let mut len = 0;
                raw!((f.api.model_classify)(
                    f.model,
                    &f.volume(),
                    &hooks,
                    ptr::null_mut(),
                    0,
                    &mut len,
                    e
                ))
            }),
            ("model_fine_tune", INVALID, &["options.calibration", "struct_size is 5"], |f, e| {
                let calibration = cinetomo_calibration_options {
                    struct_size: 5,
                    ..initialised(f.api.calibration_options_init)
                };
                let options = cinetomo_fine_tune_options {
                    calibration: &calibration,
                    ..f.fine_tune_options()
                };
                f.fine_tune(&options, e)
            }),
            ("model_predict", INVALID, &["out_predictions", "struct_size is 48"], |f, e| {
                f.predict(
                    &cinetomo_predictions {
                        struct_size: 48,
                        ..initialised(f.api.predictions_init)
                    },
                    0,
                    e,
                )
            }),
            ("model_grad_cam", INVALID, &["options", "struct_size is 31"], |f, e| {
                let options = cinetomo_grad_cam_options {
                    struct_size: 31,
                    ..initialised(f.api.grad_cam_options_init)
                };
                f.grad_cam(&options, e)
            }),
            ("model_info_get", INVALID, &["out_info", "struct_size"], |f, e| {
                let mut info = initialised(f.api.model_info_init);
                info.struct_size = usize::MAX;
                raw!((f.api.model_info_get)(f.model, &mut info, e))
            }),
            ("runtime_info_get", INVALID, &["out_info", "struct_size"], |f, e| {
                let mut info = initialised(f.api.runtime_info_init);
                info.struct_size = 0;
                raw!((f.api.runtime_info_get)(&mut info, e))
            }),
        ],
    );
}
