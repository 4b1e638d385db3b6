//! `struct_size`: too small, too large, from older and newer hosts.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

/// Size of a struct in the first release of ABI 1.
fn first_size(size: usize, name: &str) -> usize {
    if name == "cinetomo_synthetic_options" { 88 } else { size }
}

#[test]
fn structs_of_any_size_are_judged() {
    let fixture = Fixture::new();
    let api = fixture.api;
    macro_rules! check_init {
        ($($init:expr => $type:ty),* $(,)?) => {$({
            // SAFETY: the memory is larger than any size that is accepted.
            unsafe {
                let mut memory = [0xa5u8; 8192];
                let pointer = memory.as_mut_ptr().cast::<$type>();
                assert_eq!($init(ptr::null_mut(), size_of::<$type>()), NULL as i32);
                let smallest = first_size(size_of::<$type>(), stringify!($type));
                for size in [0, 7, smallest - 1, 4097, usize::MAX] {
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
    check_init!(
        api.runtime_info_init => cinetomo_runtime_info,
        api.context_options_init => cinetomo_context_options,
        api.hooks_init => cinetomo_hooks,
        api.volume_init => cinetomo_volume,
        api.preprocess_init => cinetomo_preprocess,
        api.model_options_init => cinetomo_model_options,
        api.fine_tune_options_init => cinetomo_fine_tune_options,
        api.model_info_init => cinetomo_model_info,
        api.metrics_init => cinetomo_metrics,
        fixture.synthetic().options_init => cinetomo_synthetic_options,
        fixture.synthetic().options_init_liu_2020 => cinetomo_synthetic_options,
        fixture.picker().tomogram_init => cinetomo_tomogram,
        fixture.picker().pick_options_init => cinetomo_pick_options,
        fixture.picker().extract_options_init => cinetomo_extract_options,
    );

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
