//! Something to call functions with, and what is checked of every wrong call.

use std::{ffi::CStr, mem::MaybeUninit, ptr};

use cinetomo_abi::{cinetomo_status as Status, *};
use cinetomo_tests::library;

pub type OutError = *mut *mut cinetomo_error;

pub fn api() -> &'static cinetomo_api {
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
pub fn initialised<T>(init: unsafe extern "C" fn(*mut T, usize) -> i32) -> T {
    let mut value = MaybeUninit::uninit();
    // SAFETY: the size is that of the memory.
    unsafe {
        assert_eq!(init(value.as_mut_ptr(), size_of::<T>()), Status::Ok as i32);
        value.assume_init()
    }
}

/// Something to call functions with: a model of random numbers for three classes, and voxels.
pub struct Fixture {
    pub api: &'static cinetomo_api,
    pub context: *mut cinetomo_context,
    pub model: *mut cinetomo_model,
    pub cancel: *mut cinetomo_cancel,
    pub voxels: Vec<f32>,
    pub labels: Vec<i32>,
    pub directory: tempfile::TempDir,
}

// SAFETY: handles may be used from any thread, by contract.
unsafe impl Sync for Fixture {}

pub const EDGE: i64 = 16;
pub const N: usize = 6;

impl Fixture {
    pub fn new() -> Fixture {
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

    pub fn model_options(&self) -> cinetomo_model_options {
        cinetomo_model_options { n_classes: 3, ..initialised(self.api.model_options_init) }
    }

    pub fn volume(&self) -> cinetomo_volume {
        cinetomo_volume {
            data: self.voxels.as_ptr().cast(),
            data_bytes: self.voxels.len() * 4,
            shape: [N as i64, EDGE, EDGE, EDGE],
            ..initialised(self.api.volume_init)
        }
    }

    pub fn fine_tune_options(&self) -> cinetomo_fine_tune_options {
        cinetomo_fine_tune_options { n_epochs: 1, ..initialised(self.api.fine_tune_options_init) }
    }

    pub fn hooks(&self) -> cinetomo_hooks {
        initialised(self.api.hooks_init)
    }

    pub fn synthetic(&self) -> &'static cinetomo_synthetic_api {
        // SAFETY: the id is that of the table.
        unsafe { self.extension(c"cinetomo.synthetic/1") }
    }

    pub fn project2d(&self) -> &'static cinetomo_project2d_api {
        // SAFETY: the id is that of the table.
        unsafe { self.extension(c"cinetomo.project2d/1") }
    }

    pub fn picker(&self) -> &'static cinetomo_pick_api {
        // SAFETY: the id is that of the table.
        unsafe { self.extension(c"cinetomo.pick/1") }
    }

    pub fn datasets(&self) -> &'static cinetomo_dataset_api {
        // SAFETY: the id is that of the table.
        unsafe { self.extension(c"cinetomo.dataset/1") }
    }

    /// # Safety
    /// `T` is the table that the id stands for.
    unsafe fn extension<T>(&self, id: &CStr) -> &'static T {
        // SAFETY: the caller's word.
        unsafe { (self.api.get_extension)(id.as_ptr()).cast::<T>().as_ref() }
            .expect("the extension")
    }

    /// The voxels as a function fetches them; the fixture stays where it is meanwhile.
    pub fn dataset(&self) -> cinetomo_dataset {
        cinetomo_dataset {
            read: Some(read_boxes),
            user_data: ptr::from_ref(self).cast_mut().cast(),
            shape: [N as i64, EDGE, EDGE, EDGE],
            ..initialised(self.datasets().dataset_init)
        }
    }

    pub fn fine_tune_dataset(&self, dataset: &cinetomo_dataset, error: OutError) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe {
            (self.datasets().fine_tune)(
                self.model,
                dataset,
                self.labels.as_ptr(),
                self.labels.len(),
                &self.fine_tune_options(),
                ptr::null(),
                &mut out,
                error,
            )
        };
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }

    /// A tomogram of 16^3 voxels that is read by a function.
    pub fn tomogram(&self) -> cinetomo_tomogram {
        cinetomo_tomogram {
            read: Some(read_zeros),
            shape: [16; 3],
            voxel_size: 10.0,
            contrast: cinetomo_contrast::Dark as i32,
            ..initialised(self.picker().tomogram_init)
        }
    }

    pub fn pick(
        &self,
        tomogram: &cinetomo_tomogram,
        options: &cinetomo_pick_options,
        error: OutError,
    ) -> i32 {
        let (mut positions, mut scores, mut n) = (vec![-1.0; 3000], vec![-1.0; 1000], 7);
        // SAFETY: the buffers are as large as stated.
        let status = unsafe {
            (self.picker().pick)(
                self.context,
                tomogram,
                options,
                ptr::null(),
                positions.as_mut_ptr(),
                scores.as_mut_ptr(),
                1000,
                &mut n,
                error,
            )
        };
        if status != Status::Ok as i32 {
            let untouched = positions.iter().chain(&scores).all(|&value| value == -1.0);
            assert!(untouched && n == 7, "output on failure");
        }
        status
    }

    pub fn extract(
        &self,
        tomogram: &cinetomo_tomogram,
        positions: &[f32],
        options: &cinetomo_extract_options,
        error: OutError,
    ) -> i32 {
        let (mut voxels, mut len, mut indices) = (vec![-1.0; 2 * 32 * 32 * 32], 7, [-5i64; 2]);
        // SAFETY: the buffers are as large as stated.
        let status = unsafe {
            (self.picker().extract)(
                self.context,
                tomogram,
                positions.as_ptr(),
                positions.len() / 3,
                options,
                ptr::null(),
                voxels.as_mut_ptr(),
                voxels.len(),
                &mut len,
                indices.as_mut_ptr(),
                2,
                error,
            )
        };
        if status != Status::Ok as i32 {
            let untouched = voxels.iter().all(|&value| value == -1.0);
            assert!(untouched && len == 7 && indices == [-5; 2], "output on failure");
        }
        status
    }

    // The calls under test, each with one argument spoilt by the caller.

    pub fn classify(&self, volume: &cinetomo_volume, error: OutError) -> i32 {
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

    pub fn grad_cam(&self, options: &cinetomo_grad_cam_options, error: OutError) -> i32 {
        let (mut maps, mut len) = (vec![-1.0; self.voxels.len()], 7);
        // SAFETY: the buffers are as large as stated.
        let status = unsafe {
            (self.api.model_grad_cam)(
                self.model,
                &self.volume(),
                options,
                ptr::null(),
                maps.as_mut_ptr(),
                maps.len(),
                &mut len,
                error,
            )
        };
        if status != Status::Ok as i32 {
            assert!(maps.iter().all(|&value| value == -1.0) && len == 7, "output on failure");
        }
        status
    }

    /// A map of the voxels as `n` embeddings of `n_features` numbers.
    pub fn tsne(
        &self,
        (n, n_features): (usize, usize),
        options: &cinetomo_tsne_options,
        error: OutError,
    ) -> i32 {
        let (mut positions, mut len) = (vec![-1.0; 2 * n], 7);
        let n_values = n * n_features;
        assert!(n_values <= self.voxels.len());
        // SAFETY: the buffers are as large as stated.
        let status = unsafe {
            (self.project2d().tsne)(
                self.context,
                self.voxels.as_ptr(),
                n_values,
                n_features,
                options,
                ptr::null(),
                positions.as_mut_ptr(),
                positions.len(),
                &mut len,
                error,
            )
        };
        if status != Status::Ok as i32 {
            assert!(positions.iter().all(|&value| value == -1.0) && len == 7, "output on failure");
        }
        status
    }

    /// How well the labels set the first voxels apart.
    pub fn separation(&self, n_features: usize, n_neighbors: usize, error: OutError) -> i32 {
        let mut out = initialised(self.project2d().separation_init);
        // SAFETY: valid arguments.
        let status = unsafe {
            (self.project2d().separation)(
                self.context,
                self.voxels.as_ptr(),
                N * 3,
                n_features,
                self.labels.as_ptr(),
                N,
                n_neighbors,
                &mut out,
                error,
            )
        };
        assert_eq!(out.n_evaluated == 0, status != Status::Ok as i32, "output on failure");
        status
    }

    pub fn fine_tune(&self, options: &cinetomo_fine_tune_options, error: OutError) -> i32 {
        self.fine_tune_labelled(&self.labels, options, error)
    }

    pub fn fine_tune_labelled(
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

    pub fn predict(&self, out: &cinetomo_predictions, reject: i32, error: OutError) -> i32 {
        // SAFETY: valid arguments.
        unsafe {
            (self.api.model_predict)(self.model, &self.volume(), reject, ptr::null(), out, error)
        }
    }

    pub fn calibrate(
        &self,
        labels: &[i32],
        options: &cinetomo_calibration_options,
        error: OutError,
    ) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe {
            (self.api.model_calibrate)(
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

    pub fn split(&self, options: &cinetomo_split_options, error: OutError) -> i32 {
        let (mut parts, mut len) = ([9; N], 7);
        // SAFETY: valid arguments.
        let status = unsafe {
            (self.api.split)(
                self.labels.as_ptr(),
                ptr::null(),
                N,
                options,
                parts.as_mut_ptr(),
                N,
                &mut len,
                error,
            )
        };
        assert_eq!((parts, len), ([9; N], 7), "output on failure");
        status
    }

    pub fn random(&self, options: &cinetomo_model_options, error: OutError) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe { (self.api.model_random)(self.context, options, &mut out, error) };
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }

    pub fn context(&self, options: &cinetomo_context_options, error: OutError) -> i32 {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe { (self.api.context_new)(options, &mut out, error) };
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }

    pub fn memory_estimate(
        &self,
        [z, y, x]: [i64; 3],
        batch_size: i64,
        stage: i32,
        error: OutError,
    ) -> i32 {
        let mut bytes = 7;
        // SAFETY: valid arguments.
        let status = unsafe {
            (self.api.memory_estimate)(self.model, z, y, x, batch_size, stage, &mut bytes, error)
        };
        assert_eq!(bytes, 7, "output on failure");
        status
    }

    pub fn evaluate(
        &self,
        scores: &[f32],
        labels: &[i32],
        n_classes: usize,
        error: OutError,
    ) -> i32 {
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

/// A reader of a tomogram that is empty everywhere.
/// Copies the fixture's voxels.
pub unsafe extern "C" fn read_boxes(
    fixture: *mut std::ffi::c_void,
    indices: *const i64,
    n: usize,
    out: *mut f32,
    _: *mut std::ffi::c_char,
    _: usize,
) -> i32 {
    let n_voxels = (EDGE * EDGE * EDGE) as usize;
    // SAFETY: `dataset` hands on the fixture; the library has made room for as many boxes as it asks for.
    let (fixture, indices, out) = unsafe {
        (
            &*fixture.cast::<Fixture>(),
            std::slice::from_raw_parts(indices, n),
            std::slice::from_raw_parts_mut(out, n * n_voxels),
        )
    };
    for (index, place) in indices.iter().zip(out.chunks_exact_mut(n_voxels)) {
        let start = *index as usize * n_voxels;
        place.copy_from_slice(&fixture.voxels[start..start + n_voxels]);
    }
    0
}

pub unsafe extern "C" fn read_zeros(
    _: *mut std::ffi::c_void,
    _: i64,
    _: i64,
    _: i64,
    nz: i64,
    ny: i64,
    nx: i64,
    out: *mut f32,
) -> i32 {
    // SAFETY: the library has made room for as many voxels as it asks for.
    unsafe { std::slice::from_raw_parts_mut(out, (nz * ny * nx) as usize) }.fill(0.0);
    0
}

pub fn message(api: &cinetomo_api, error: *const cinetomo_error) -> String {
    // SAFETY: messages are terminated.
    unsafe { CStr::from_ptr((api.error_message)(error)) }
        .to_str()
        .expect("messages are UTF-8")
        .to_owned()
}

/// One wrong call: the function, the status it must return, words its message must have, the call.
pub type Case = (&'static str, Status, &'static [&'static str], fn(&Fixture, OutError) -> i32);

pub fn check(fixture: &Fixture, cases: &[Case]) {
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

pub const NULL: Status = Status::NullArgument;
pub const INVALID: Status = Status::InvalidArgument;

/// Runs an expression of raw calls; every pointer in it is NULL or valid.
macro_rules! raw {
    ($e:expr) => {
        // SAFETY: what the case passes is what a careless host might, and readable where it is not NULL.
        unsafe { $e }
    };
}
pub(crate) use raw;
