//! Hostile calls: every function of the contract, called wrongly, from one thread and from several.

use std::{
    collections::BTreeSet,
    ffi::{CStr, c_void},
    fs,
    mem::MaybeUninit,
    ptr,
};

use cinetomo_abi::{cinetomo_status as Status, *};
use cinetomo_tests::{library, root};

type OutError = *mut *mut cinetomo_error;

fn api() -> &'static cinetomo_api {
    // SAFETY: the library's initialisers are libtorch's; the signature is the contract's.
    unsafe {
        let library = libloading::Library::new(library()).expect("the library loads");
        let get_api: libloading::Symbol<unsafe extern "C" fn(u32) -> *const cinetomo_api> =
            library.get(b"cinetomo_get_api\0").expect("cinetomo_get_api");
        let api = get_api(CINETOMO_ABI_VERSION).as_ref().expect("ABI 1");
        std::mem::forget(library);
        api
    }
}

/// A struct as its `_init` function leaves it.
fn initialised<T>(init: unsafe extern "C" fn(*mut T, usize) -> i32) -> T {
    let mut value = MaybeUninit::uninit();
    // SAFETY: the size is that of the memory.
    unsafe {
        assert_eq!(init(value.as_mut_ptr(), size_of::<T>()), Status::Ok as i32);
        value.assume_init()
    }
}

/// Something to call functions with: a model of random numbers for three classes, and voxels.
struct Fixture {
    api: &'static cinetomo_api,
    context: *mut cinetomo_context,
    model: *mut cinetomo_model,
    cancel: *mut cinetomo_cancel,
    voxels: Vec<f32>,
    labels: Vec<i32>,
    directory: tempfile::TempDir,
}

// SAFETY: handles may be used from any thread, by contract.
unsafe impl Sync for Fixture {}

const EDGE: i64 = 16;
const N: usize = 6;

impl Fixture {
    fn new() -> Fixture {
        let api = api();
        let mut fixture = Fixture {
            api,
            context: ptr::null_mut(),
            model: ptr::null_mut(),
            cancel: ptr::null_mut(),
            // Any values will do that differ from voxel to voxel.
            voxels: (0..N * (EDGE * EDGE * EDGE) as usize)
                .map(|index| (index as f32 * 0.37).sin())
                .collect(),
            labels: vec![0, 1, 2, 0, 1, 2],
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        let context_options = cinetomo_context_options {
            device: cinetomo_device::Cpu as i32,
            ..initialised(api.context_options_init)
        };
        // SAFETY: valid arguments.
        unsafe {
            let mut error = ptr::null_mut();
            (api.context_new)(&context_options, &mut fixture.context, &mut error);
            (api.model_random)(
                fixture.context,
                &fixture.model_options(),
                &mut fixture.model,
                &mut error,
            );
            (api.cancel_new)(&mut fixture.cancel, &mut error);
            assert!(error.is_null(), "{}", message(api, error));
        }
        fixture
    }

    fn model_options(&self) -> cinetomo_model_options {
        cinetomo_model_options { n_classes: 3, ..initialised(self.api.model_options_init) }
    }

    fn volume(&self) -> cinetomo_volume {
        cinetomo_volume {
            data: self.voxels.as_ptr().cast(),
            data_bytes: self.voxels.len() * 4,
            shape: [N as i64, EDGE, EDGE, EDGE],
            ..initialised(self.api.volume_init)
        }
    }

    fn fine_tune_options(&self) -> cinetomo_fine_tune_options {
        cinetomo_fine_tune_options { n_epochs: 1, ..initialised(self.api.fine_tune_options_init) }
    }

    fn hooks(&self) -> cinetomo_hooks {
        initialised(self.api.hooks_init)
    }

    fn synthetic(&self) -> &'static cinetomo_synthetic_api {
        // SAFETY: the id names this table.
        unsafe {
            (self.api.get_extension)(c"cinetomo.synthetic/1".as_ptr())
                .cast::<cinetomo_synthetic_api>()
                .as_ref()
                .expect("the extension")
        }
    }

    // The calls under test, each with one argument spoilt by the caller.

    fn classify(&self, volume: &cinetomo_volume, error: OutError) -> i32 {
        let (mut scores, mut len) = ([-1.0; N * 3], 7);
        // SAFETY: the buffers are as large as stated.
        let status = unsafe {
            (self.api.model_classify)(
                self.model,
                volume,
                ptr::null(),
                scores.as_mut_ptr(),
                scores.len(),
                &mut len,
                error,
            )
        };
        if status != Status::Ok as i32 {
            assert!(scores.iter().all(|&score| score == -1.0) && len == 7, "output on failure");
        }
        status
    }

    fn fine_tune(&self, options: &cinetomo_fine_tune_options, error: OutError) -> i32 {
        self.fine_tune_labelled(&self.labels, options, error)
    }

    fn fine_tune_labelled(
        &self,
        labels: &[i32],
        options: &cinetomo_fine_tune_options,
        error: OutError,
    ) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe {
            (self.api.model_fine_tune)(
                self.model,
                &self.volume(),
                labels.as_ptr(),
                labels.len(),
                options,
                ptr::null(),
                &mut out,
                error,
            )
        };
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }

    fn random(&self, options: &cinetomo_model_options, error: OutError) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe { (self.api.model_random)(self.context, options, &mut out, error) };
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }

    fn context(&self, options: &cinetomo_context_options, error: OutError) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe { (self.api.context_new)(options, &mut out, error) };
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }

    fn evaluate(&self, scores: &[f32], labels: &[i32], n_classes: usize, error: OutError) -> i32 {
        let mut metrics = initialised(self.api.metrics_init);
        // SAFETY: valid arguments.
        unsafe {
            (self.api.evaluate)(
                scores.as_ptr(),
                scores.len(),
                labels.as_ptr(),
                labels.len(),
                n_classes,
                &mut metrics,
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                error,
            )
        }
    }
}

fn message(api: &cinetomo_api, error: *const cinetomo_error) -> String {
    // SAFETY: messages are terminated.
    unsafe { CStr::from_ptr((api.error_message)(error)) }
        .to_str()
        .expect("messages are UTF-8")
        .to_owned()
}

/// One wrong call: the function, the status it must return, words its message must have, the call.
type Case = (&'static str, Status, &'static [&'static str], fn(&Fixture, OutError) -> i32);

fn check(fixture: &Fixture, cases: &[Case]) {
    for (index, &(function, status, words, call)) in cases.iter().enumerate() {
        let mut error = ptr::null_mut();
        let got = call(fixture, &mut error);
        let message = message(fixture.api, error);
        let name = format!("case {index}, {function} {words:?}: status {got}, {message:?}");
        assert_eq!(got, status as i32, "{name}");
        // SAFETY: a live error.
        unsafe {
            assert_eq!((fixture.api.error_status)(error), status as i32, "{name}");
            (fixture.api.error_free)(error);
        }
        for word in words {
            assert!(message.contains(word), "{name}: no word of {word:?}");
        }
        assert_eq!(
            call(fixture, ptr::null_mut()),
            status as i32,
            "{name}, without an error to fill"
        );
    }
}

const NULL: Status = Status::NullArgument;
const INVALID: Status = Status::InvalidArgument;

/// Runs an expression of raw calls; every pointer in it is NULL or valid.
macro_rules! raw {
    ($e:expr) => {
        // SAFETY: what the case passes is what a careless host might, and readable where it is not NULL.
        unsafe { $e }
    };
}

const NULL_CASES: &[Case] = &[
    ("runtime_info_get", NULL, &["out_info"], |f, e| {
        raw!((f.api.runtime_info_get)(ptr::null_mut(), e))
    }),
    ("context_new", NULL, &["out_context"], |f, e| {
        raw!((f.api.context_new)(ptr::null(), ptr::null_mut(), e))
    }),
    ("cancel_new", NULL, &["out_cancel"], |f, e| raw!((f.api.cancel_new)(ptr::null_mut(), e))),
    ("model_from_video", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_from_video)(
            f.context,
            c"x".as_ptr(),
            &f.model_options(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("model_from_video", NULL, &["context"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_from_video)(
            ptr::null(),
            c"x".as_ptr(),
            &f.model_options(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_from_video", NULL, &["checkpoint_path"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_from_video)(
            f.context,
            ptr::null(),
            &f.model_options(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_from_video", NULL, &["options"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_from_video)(
            f.context,
            c"x".as_ptr(),
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_random", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_random)(f.context, &f.model_options(), ptr::null_mut(), e))
    }),
    ("model_random", NULL, &["context"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_random)(ptr::null(), &f.model_options(), &mut out, e))
    }),
    ("model_random", NULL, &["options"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_random)(f.context, ptr::null(), &mut out, e))
    }),
    ("model_fine_tune", NULL, &["model"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_fine_tune)(
            ptr::null(),
            &f.volume(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_fine_tune", NULL, &["subtomograms"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_fine_tune)(
            f.model,
            ptr::null(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_fine_tune", NULL, &["labels"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_fine_tune)(
            f.model,
            &f.volume(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_fine_tune", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_fine_tune)(
            f.model,
            &f.volume(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("model_fine_tune", NULL, &["options.milestones"], |f, e| {
        f.fine_tune(&cinetomo_fine_tune_options { n_milestones: 3, ..f.fine_tune_options() }, e)
    }),
    ("model_classify", NULL, &["model"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_classify)(
            ptr::null(),
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_classify", NULL, &["subtomograms"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_classify)(
            f.model,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_classify", NULL, &["out_len"], |f, e| {
        raw!((f.api.model_classify)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("model_classify", NULL, &["out_probabilities"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_classify)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            18,
            &mut len,
            e
        ))
    }),
    ("model_classify", NULL, &["subtomograms", "data"], |f, e| {
        f.classify(&cinetomo_volume { data: ptr::null(), ..f.volume() }, e)
    }),
    ("model_embed", NULL, &["model"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_embed)(
            ptr::null(),
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_embed", NULL, &["subtomograms"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_embed)(
            f.model,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_embed", NULL, &["out_embeddings"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_embed)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            9,
            &mut len,
            e
        ))
    }),
    ("model_save", NULL, &["model"], |f, e| {
        raw!((f.api.model_save)(ptr::null(), c"x".as_ptr(), e))
    }),
    ("model_save", NULL, &["path"], |f, e| raw!((f.api.model_save)(f.model, ptr::null(), e))),
    ("model_load", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_load)(f.context, c"x".as_ptr(), ptr::null_mut(), e))
    }),
    ("model_load", NULL, &["context"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_load)(ptr::null(), c"x".as_ptr(), &mut out, e))
    }),
    ("model_load", NULL, &["path"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_load)(f.context, ptr::null(), &mut out, e))
    }),
    ("model_info_get", NULL, &["model"], |f, e| {
        let mut info = initialised(f.api.model_info_init);
        raw!((f.api.model_info_get)(ptr::null(), &mut info, e))
    }),
    ("model_info_get", NULL, &["out_info"], |f, e| {
        raw!((f.api.model_info_get)(f.model, ptr::null_mut(), e))
    }),
    ("evaluate", NULL, &["out_metrics"], |f, e| {
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["probabilities"], |f, e| {
        let mut metrics = initialised(f.api.metrics_init);
        raw!((f.api.evaluate)(
            ptr::null(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["labels"], |f, e| {
        let mut metrics = initialised(f.api.metrics_init);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["out_confusion"], |f, e| {
        let (mut metrics, mut len) = (initialised(f.api.metrics_init), 0);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            4,
            &mut len,
            e
        ))
    }),
    ("evaluate", NULL, &["out_len"], |f, e| {
        let (mut metrics, mut confusion) = (initialised(f.api.metrics_init), [0; 4]);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            confusion.as_mut_ptr(),
            4,
            ptr::null_mut(),
            e
        ))
    }),
    ("synthetic phantom_density", NULL, &["out_len"], |f, e| {
        raw!((f.synthetic().phantom_density)(0, 16, 10.0, ptr::null_mut(), 0, ptr::null_mut(), e))
    }),
    ("synthetic simulate", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate)(
            ptr::null(),
            ptr::null(),
            [0].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("synthetic simulate", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate)(
            f.context,
            ptr::null(),
            ptr::null(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
];

#[test]
fn null_is_named_everywhere() {
    let fixture = Fixture::new();
    check(&fixture, NULL_CASES);
    // Every function of the flat contract that stores an error has a case.
    let covered: BTreeSet<String> =
        NULL_CASES.iter().map(|(function, ..)| format!("cinetomo_{function}")).collect();
    let header = fs::read_to_string(root().join("include/cinetomo.h")).expect("the header");
    for declaration in header.split(";\n").filter(|text| text.contains("\nint32_t cinetomo_")) {
        let signature = declaration.rsplit("\nint32_t ").next().expect("a declaration");
        let name = signature.split('(').next().expect("a name");
        if signature.contains("out_error") {
            assert!(covered.contains(name), "{name} has no NULL case");
        }
    }
}

#[test]
fn frees_and_questions_accept_anything() {
    let fixture = Fixture::new();
    let api = fixture.api;
    // SAFETY: NULL, wrong and freed handles are what the contract promises to bear.
    unsafe {
        for garbage in [0usize, 1, 8, 0xdead_beef, usize::MAX] {
            (api.error_free)(ptr::without_provenance_mut(garbage));
            (api.context_free)(ptr::without_provenance_mut(garbage));
            (api.cancel_free)(ptr::without_provenance_mut(garbage));
            (api.model_free)(ptr::without_provenance_mut(garbage));
            (api.cancel_raise)(ptr::without_provenance_mut(garbage));
            let status = (api.error_status)(ptr::without_provenance_mut(garbage));
            assert_eq!(status, if garbage == 0 { 0 } else { INVALID as i32 });
            assert!(!(api.error_message)(ptr::without_provenance_mut(garbage)).is_null());
        }
        // A handle of another type frees nothing.
        (api.model_free)(fixture.context.cast());
        (api.context_free)(fixture.model.cast());
        assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
        // Freed twice: once.
        (api.context_free)(fixture.context);
        (api.context_free)(fixture.context);
        assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
        (api.model_free)(fixture.model);
        (api.model_free)(fixture.model);
        assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), INVALID as i32);

        for number in [-1, 15, i32::MIN, i32::MAX] {
            assert_eq!(CStr::from_ptr((api.status_name)(number)), c"UNKNOWN");
        }
        assert_eq!(CStr::from_ptr((api.status_name)(7)), c"FORMAT");
        assert!((api.get_extension)(ptr::null()).is_null());
        assert!((api.get_extension)(c"cinetomo.synthetic/2".as_ptr()).is_null());
        assert!((api.get_extension)(c"\xff".as_ptr()).is_null());
        let synthetic = fixture.synthetic();
        assert!((synthetic.phantom_name)((synthetic.n_phantoms)()).is_null());
        assert!((synthetic.phantom_name)(usize::MAX).is_null());
    }
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
                for size in [0, 7, size_of::<$type>() - 1, 4097, usize::MAX] {
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
    );

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

#[test]
fn numbers_without_meaning_are_refused() {
    let fixture = Fixture::new();
    check(
        &fixture,
        &[
            ("context_new", INVALID, &["device", "3", "0, 1, 2"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device: 3,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["device_index", "-1"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device_index: -1,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["n_threads", "-2"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        n_threads: -2,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["n_threads"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        n_threads: i32::MAX,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["log_level", "9"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        log_level: 9,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("model_random", INVALID, &["n_classes is 0"], |f, e| {
                f.random(&cinetomo_model_options { n_classes: 0, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["n_classes is 1"], |f, e| {
                f.random(&cinetomo_model_options { n_classes: 1, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["n_classes"], |f, e| {
                f.random(&cinetomo_model_options { n_classes: usize::MAX, ..f.model_options() }, e)
            }),
            ("model_random", Status::Unsupported, &["backbone", "resnet", "i3d"], |f, e| {
                f.random(
                    &cinetomo_model_options { backbone: c"resnet".as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["backbone", "UTF-8"], |f, e| {
                f.random(
                    &cinetomo_model_options { backbone: c"i3\xff".as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["class", "ribosome"], |f, e| {
                let names = [c"ribosome".as_ptr(), c"x".as_ptr(), c"ribosome".as_ptr()];
                f.random(
                    &cinetomo_model_options { class_names: names.as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["class"], |f, e| {
                let names = [c"ribosome".as_ptr(), c"".as_ptr(), c"x".as_ptr()];
                f.random(
                    &cinetomo_model_options { class_names: names.as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", NULL, &["class_names[1]"], |f, e| {
                let names = [c"ribosome".as_ptr(), ptr::null(), c"x".as_ptr()];
                f.random(
                    &cinetomo_model_options { class_names: names.as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["dropout", "1"], |f, e| {
                f.random(&cinetomo_model_options { dropout: 1.0, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["dropout"], |f, e| {
                f.random(&cinetomo_model_options { dropout: f64::NAN, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["normalization", "7"], |f, e| {
                with_preprocess(f, e, |p| p.normalization = 7)
            }),
            ("model_random", INVALID, &["interpolation", "-1"], |f, e| {
                with_preprocess(f, e, |p| p.interpolation = -1)
            }),
            ("model_random", INVALID, &["contrast", "3"], |f, e| {
                with_preprocess(f, e, |p| p.contrast = 3)
            }),
            ("model_random", INVALID, &["n_views", "3"], |f, e| {
                with_preprocess(f, e, |p| p.n_views = 3)
            }),
            ("model_random", INVALID, &["input_size", "-32"], |f, e| {
                with_preprocess(f, e, |p| p.input_size[0] = -32)
            }),
            ("model_random", INVALID, &["input_size"], |f, e| {
                with_preprocess(f, e, |p| p.input_size[2] = i64::MAX)
            }),
            ("model_random", INVALID, &["percentile"], |f, e| {
                with_preprocess(f, e, |p| p.percentile_low = 100.0)
            }),
            ("model_random", INVALID, &["percentile"], |f, e| {
                with_preprocess(f, e, |p| p.percentile_high = f64::NAN)
            }),
            ("model_fine_tune", INVALID, &["optimizer", "3"], |f, e| {
                with_training(f, e, |o| o.optimizer = 3)
            }),
            ("model_fine_tune", INVALID, &["schedule", "-7"], |f, e| {
                with_training(f, e, |o| o.schedule = -7)
            }),
            ("model_fine_tune", INVALID, &["batch_norm", "4"], |f, e| {
                with_training(f, e, |o| o.batch_norm = 4)
            }),
            ("model_fine_tune", INVALID, &["head", "4"], |f, e| {
                with_training(f, e, |o| o.head = 4)
            }),
            ("model_fine_tune", INVALID, &["augment"], |f, e| {
                with_training(f, e, |o| o.augment = 1 << 20)
            }),
            ("model_fine_tune", INVALID, &["select_best", "2"], |f, e| {
                with_training(f, e, |o| o.select_best = 2)
            }),
            ("model_fine_tune", INVALID, &["reserved"], |f, e| {
                with_training(f, e, |o| o.reserved = -1)
            }),
            ("model_fine_tune", INVALID, &["n_epochs", "-1"], |f, e| {
                with_training(f, e, |o| o.n_epochs = -1)
            }),
            ("model_fine_tune", INVALID, &["n_epochs"], |f, e| {
                with_training(f, e, |o| o.n_epochs = i32::MAX)
            }),
            ("model_fine_tune", INVALID, &["batch_size"], |f, e| {
                with_training(f, e, |o| o.batch_size = 0)
            }),
            ("model_fine_tune", INVALID, &["n_frozen_stages"], |f, e| {
                with_training(f, e, |o| o.n_frozen_stages = 999)
            }),
            ("model_fine_tune", INVALID, &["learning"], |f, e| {
                with_training(f, e, |o| o.learning_rate = -1.0)
            }),
            ("model_fine_tune", INVALID, &["learning"], |f, e| {
                with_training(f, e, |o| o.learning_rate = f64::INFINITY)
            }),
            ("model_fine_tune", INVALID, &["momentum"], |f, e| {
                with_training(f, e, |o| o.momentum = 1.0)
            }),
            ("model_fine_tune", INVALID, &["weight"], |f, e| {
                with_training(f, e, |o| o.weight_decay = f64::NAN)
            }),
            ("model_fine_tune", INVALID, &["validation"], |f, e| {
                with_training(f, e, |o| o.validation_fraction = 0.6)
            }),
            ("model_fine_tune", INVALID, &["gamma"], |f, e| {
                with_training(f, e, |o| {
                    (o.schedule, o.gamma) = (cinetomo_schedule::Step as i32, 0.0)
                })
            }),
            ("model_fine_tune", INVALID, &["milestones"], |f, e| {
                const FALLING: [i32; 2] = [5, 3];
                with_training(f, e, |o| {
                    o.schedule = cinetomo_schedule::Step as i32;
                    (o.milestones, o.n_milestones) = (FALLING.as_ptr(), 2);
                })
            }),
            ("model_fine_tune", INVALID, &["labels", "5", "6"], |f, e| {
                f.fine_tune_labelled(&f.labels[..5], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["label", "3"], |f, e| {
                f.fine_tune_labelled(&[0, 1, 2, 3, 1, 2], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["label", "-2"], |f, e| {
                f.fine_tune_labelled(&[0, 1, 2, -2, 1, 2], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["label"], |f, e| {
                f.fine_tune_labelled(&[-1; N], &f.fine_tune_options(), e)
            }),
            ("evaluate", INVALID, &["3", "1"], |f, e| f.evaluate(&[0.5; 3], &[0], 2, e)),
            ("evaluate", INVALID, &["label", "2"], |f, e| f.evaluate(&[0.5; 2], &[2], 2, e)),
            ("evaluate", INVALID, &["label"], |f, e| f.evaluate(&[0.5; 2], &[-1], 2, e)),
            ("evaluate", INVALID, &["n_classes"], |f, e| f.evaluate(&[], &[], 0, e)),
            ("evaluate", INVALID, &["n_classes"], |f, e| {
                f.evaluate(&[0.5; 2], &[0], usize::MAX, e)
            }),
            ("evaluate", Status::NonFinite, &[], |f, e| f.evaluate(&[0.5, f32::NAN], &[0], 2, e)),
        ],
    );
}

fn with_preprocess(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_preprocess)) -> i32 {
    let mut preprocess = initialised(fixture.api.preprocess_init);
    spoil(&mut preprocess);
    fixture.random(
        &cinetomo_model_options { preprocess: &preprocess, ..fixture.model_options() },
        error,
    )
}

fn with_training(
    fixture: &Fixture,
    error: OutError,
    spoil: fn(&mut cinetomo_fine_tune_options),
) -> i32 {
    let mut options = fixture.fine_tune_options();
    spoil(&mut options);
    fixture.fine_tune(&options, error)
}

#[test]
fn volumes_are_checked_before_they_are_touched() {
    let fixture = Fixture::new();
    fn spoilt(f: &Fixture, e: OutError, spoil: fn(&mut cinetomo_volume)) -> i32 {
        let mut volume = f.volume();
        spoil(&mut volume);
        f.classify(&volume, e)
    }
    check(
        &fixture,
        &[
            ("dtype", INVALID, &["dtype is 6"], |f, e| spoilt(f, e, |v| v.dtype = 6)),
            ("dtype", INVALID, &["dtype is -1"], |f, e| spoilt(f, e, |v| v.dtype = -1)),
            ("memory", INVALID, &["memory is 0", "1, 2"], |f, e| spoilt(f, e, |v| v.memory = 0)),
            ("contrast", INVALID, &["contrast"], |f, e| spoilt(f, e, |v| v.contrast = 5)),
            ("beam_axis", INVALID, &["beam_axis"], |f, e| spoilt(f, e, |v| v.beam_axis = 3)),
            ("reserved", INVALID, &["reserved"], |f, e| spoilt(f, e, |v| v.reserved = 3)),
            ("voxel_size", INVALID, &["voxel_size"], |f, e| spoilt(f, e, |v| v.voxel_size = -1.0)),
            ("voxel_size", INVALID, &["voxel_size"], |f, e| {
                spoilt(f, e, |v| v.voxel_size = f64::NAN)
            }),
            ("shape n", INVALID, &["shape[0]", "0"], |f, e| spoilt(f, e, |v| v.shape[0] = 0)),
            ("shape n", INVALID, &["shape[0]"], |f, e| spoilt(f, e, |v| v.shape[0] = i64::MAX)),
            ("shape z", INVALID, &["along z", "-16"], |f, e| spoilt(f, e, |v| v.shape[1] = -16)),
            ("shape y", INVALID, &["along y"], |f, e| spoilt(f, e, |v| v.shape[2] = i64::MAX)),
            ("shape x", INVALID, &["along x"], |f, e| spoilt(f, e, |v| v.shape[3] = 1 << 40)),
            ("stride", INVALID, &["strides[3]", "-1"], |f, e| {
                spoilt(f, e, |v| v.strides = [4096, 256, 16, -1])
            }),
            ("stride", INVALID, &["does not fit"], |f, e| {
                spoilt(f, e, |v| v.strides = [i64::MAX, 256, 16, 1])
            }),
            ("stride", INVALID, &["does not fit"], |f, e| {
                spoilt(f, e, |v| (v.strides, v.data_bytes) = ([1 << 60, 256, 16, 1], 0))
            }),
            ("data_bytes", INVALID, &["needs 98304 bytes", "98303"], |f, e| {
                spoilt(f, e, |v| v.data_bytes -= 1)
            }),
            ("alignment", INVALID, &["multiple of"], |f, e| {
                spoilt(f, e, |v| v.data = v.data.wrapping_byte_add(1))
            }),
            ("cuda", Status::DeviceUnavailable, &["CUDA"], |f, e| {
                spoilt(f, e, |v| v.memory = cinetomo_memory::Cuda as i32)
            }),
            ("nan", Status::NonFinite, &["box 2", "z=1, y=2, x=3"], |f, e| {
                let mut voxels = f.voxels.clone();
                voxels[2 * 4096 + 256 + 2 * 16 + 3] = f32::NAN;
                f.classify(&cinetomo_volume { data: voxels.as_ptr().cast(), ..f.volume() }, e)
            }),
            ("infinity", Status::NonFinite, &["box 0"], |f, e| {
                let mut voxels = f.voxels.clone();
                voxels[0] = f32::NEG_INFINITY;
                f.classify(&cinetomo_volume { data: voxels.as_ptr().cast(), ..f.volume() }, e)
            }),
            ("constant", INVALID, &["box 3", "constant"], |f, e| {
                let mut voxels = f.voxels.clone();
                voxels[3 * 4096..4 * 4096].fill(7.25);
                f.classify(&cinetomo_volume { data: voxels.as_ptr().cast(), ..f.volume() }, e)
            }),
            ("capacity", Status::BufferTooSmall, &["out_probabilities", "17", "18"], |f, e| {
                let (mut scores, mut len) = ([-1.0; 18], 0);
                let status = raw!((f.api.model_classify)(
                    f.model,
                    &f.volume(),
                    ptr::null(),
                    scores.as_mut_ptr(),
                    17,
                    &mut len,
                    e
                ));
                assert!(len == 18 && scores == [-1.0; 18]);
                status
            }),
        ],
    );
}

#[test]
fn files_that_are_no_models_are_refused() {
    let fixture = Fixture::new();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(fixture.directory.path().join(name), bytes).expect("a file");
    };
    write("empty", b"");
    write("text", b"<!DOCTYPE html><title>Sign in</title>");
    write("pickle", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.");
    fn load(f: &Fixture, name: &str, e: OutError) -> i32 {
        let path = format!("{}/{name}\0", f.directory.path().display());
        let mut out = ptr::without_provenance_mut(5);
        let status = raw!((f.api.model_load)(f.context, path.as_ptr().cast(), &mut out, e));
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }
    fn video(f: &Fixture, name: &str, e: OutError) -> i32 {
        let path = format!("{}/{name}\0", f.directory.path().display());
        let mut out = ptr::without_provenance_mut(5);
        let status = raw!((f.api.model_from_video)(
            f.context,
            path.as_ptr().cast(),
            &f.model_options(),
            ptr::null(),
            &mut out,
            e
        ));
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }
    check(
        &fixture,
        &[
            ("model_load", Status::Io, &["absent"], |f, e| load(f, "absent", e)),
            ("model_load", Status::Io, &[], |f, e| load(f, ".", e)),
            ("model_load", Status::Format, &["empty"], |f, e| load(f, "empty", e)),
            ("model_load", Status::Format, &["text"], |f, e| load(f, "text", e)),
            ("model_load", Status::Format, &["pickle"], |f, e| load(f, "pickle", e)),
            ("model_from_video", Status::Io, &["absent"], |f, e| video(f, "absent", e)),
            ("model_from_video", Status::Io, &[], |f, e| video(f, ".", e)),
            ("model_from_video", Status::Format, &["empty"], |f, e| video(f, "empty", e)),
            ("model_from_video", Status::Format, &["text"], |f, e| video(f, "text", e)),
            ("model_from_video", Status::Format, &["os.system"], |f, e| video(f, "pickle", e)),
            ("model_save", Status::Io, &["absent"], |f, e| {
                let path = format!("{}/absent/model\0", f.directory.path().display());
                raw!((f.api.model_save)(f.model, path.as_ptr().cast(), e))
            }),
        ],
    );
}

#[test]
fn a_stopped_call_stops_and_leaves_nothing() {
    let fixture = Fixture::new();
    let api = fixture.api;
    unsafe extern "C" fn stop(calls: *mut c_void, progress: *const cinetomo_progress) -> i32 {
        // SAFETY: the counter of this test, and progress that the library vouches for.
        unsafe {
            assert!((0.0..=1.0).contains(&(*progress).fraction));
            *calls.cast::<i32>() += 1;
        }
        1
    }
    let mut calls = 0i32;
    let stopping = cinetomo_hooks {
        user_data: (&raw mut calls).cast(),
        progress: Some(stop),
        ..fixture.hooks()
    };
    let raised = cinetomo_hooks { cancel: fixture.cancel, ..fixture.hooks() };
    // SAFETY: valid arguments.
    unsafe { (api.cancel_raise)(fixture.cancel) }
    for hooks in [stopping, raised] {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe {
            (api.model_fine_tune)(
                fixture.model,
                &fixture.volume(),
                fixture.labels.as_ptr(),
                N,
                &fixture.fine_tune_options(),
                &hooks,
                &mut out,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, Status::Cancelled as i32);
        assert_eq!(out.addr(), 5, "output on failure");
    }
    assert_eq!(calls, 1, "the callback ran after it had said stop");
    assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
}

#[test]
fn threads_share_models_and_free_them_under_each_other() {
    let fixture = Fixture::new();
    let expected = scores(&fixture);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (fixture, expected) = (&fixture, &expected);
            scope.spawn(move || {
                for round in 0..3 {
                    assert_eq!(&scores(fixture), expected, "thread {thread}, round {round}");
                    check(fixture, &NULL_CASES[thread * 5..thread * 5 + 5]);
                    let mut model = ptr::null_mut();
                    // SAFETY: valid arguments.
                    unsafe {
                        let api = fixture.api;
                        let status = (api.model_random)(
                            fixture.context,
                            &fixture.model_options(),
                            &mut model,
                            ptr::null_mut(),
                        );
                        assert_eq!(status, Status::Ok as i32);
                        (api.model_free)(model);
                    }
                }
            });
        }
    });
    // Freed while calls are at work: each call ends well or says that the handle is dead.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let fixture = &fixture;
            scope.spawn(move || {
                let status = fixture.classify(&fixture.volume(), ptr::null_mut());
                assert!([Status::Ok as i32, INVALID as i32].contains(&status), "{status}");
            });
        }
        let fixture = &fixture;
        // SAFETY: as above.
        scope.spawn(move || unsafe { (fixture.api.model_free)(fixture.model) });
    });
}

fn scores(fixture: &Fixture) -> Vec<f32> {
    let (mut scores, mut len) = (vec![0.0; N * 3], 0);
    // SAFETY: the buffer is as large as stated.
    let status = unsafe {
        (fixture.api.model_classify)(
            fixture.model,
            &fixture.volume(),
            ptr::null(),
            scores.as_mut_ptr(),
            scores.len(),
            &mut len,
            ptr::null_mut(),
        )
    };
    assert_eq!((status, len), (Status::Ok as i32, N * 3));
    scores
}
