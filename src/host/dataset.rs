//! The extension `cinetomo.dataset/1`: subtomograms that are fetched when they are wanted, and need not fit into memory.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr, slice,
};

use cinetomo_abi::{
    cinetomo_axis, cinetomo_calibration_options, cinetomo_contrast, cinetomo_dataset,
    cinetomo_dataset_api,
};

use crate::{
    FineTuneOptions, Hooks, Model,
    buffer::fetch,
    error::{Error, c_string},
    extension::extension,
    reading::Reading,
};

/// Id of the extension.
const ID: &CStr = c"cinetomo.dataset/1";

/// Fetches boxes: their indices, and where to put them, one after the other, x fastest.
type ReadFn<'a> = dyn FnMut(&[usize], &mut [f32]) -> Result<(), String> + 'a;

/// Subtomograms for `Model::fine_tune_dataset` and its like.
pub struct Dataset<'a> {
    read: Box<ReadFn<'a>>,
    identity: Option<CString>,
    raw: cinetomo_dataset,
}

impl<'a> Dataset<'a> {
    /// Subtomograms of `shape` n, z, y, x, which `read` fetches. `read` is called on the thread that makes a call, while
    /// the network computes on another; what it fails with becomes the message of the call's error, with status IO.
    pub fn read_by(
        shape: [i64; 4],
        read: impl FnMut(&[usize], &mut [f32]) -> Result<(), String> + 'a,
    ) -> Dataset<'a> {
        let raw = cinetomo_dataset {
            struct_size: size_of::<cinetomo_dataset>(),
            read: Some(forward),
            user_data: ptr::null_mut(),
            identity: ptr::null(),
            shape,
            voxel_size: 0.0,
            contrast: cinetomo_contrast::Unknown as i32,
            beam_axis: cinetomo_axis::Z as i32,
        };
        Dataset { read: Box::new(read), identity: None, raw }
    }

    /// Edge of a voxel in angstrom.
    pub fn voxel_size(mut self, angstrom: f64) -> Dataset<'a> {
        self.raw.voxel_size = angstrom;
        self
    }

    /// Sign of the particles.
    pub fn contrast(mut self, contrast: cinetomo_contrast) -> Dataset<'a> {
        self.raw.contrast = contrast as i32;
        self
    }

    /// The axis along the electron beam.
    pub fn beam_axis(mut self, axis: cinetomo_axis) -> Dataset<'a> {
        self.raw.beam_axis = axis as i32;
        self
    }

    /// What the voxels are known by when a training goes on; otherwise all are fetched and hashed.
    pub fn identity(mut self, identity: &str) -> Result<Dataset<'a>, Error> {
        self.identity = Some(c_string(identity, "identity")?);
        Ok(self)
    }

    /// Runs `function` with the set as C sees it. What the reader fails with, or panics with, comes out when it has
    /// returned: neither may unwind through C.
    fn with_c<T>(
        &mut self,
        function: impl FnOnce(*const cinetomo_dataset) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let [_, z, y, x] = self.raw.shape;
        let n_voxels = z.saturating_mul(y).saturating_mul(x).max(0) as usize;
        let mut state = State { read: &mut self.read, n_voxels, reading: Reading::default() };
        let raw = cinetomo_dataset {
            user_data: (&raw mut state).cast::<c_void>(),
            identity: self.identity.as_ref().map_or(ptr::null(), |identity| identity.as_ptr()),
            ..self.raw
        };
        let result = function(&raw const raw);
        state.reading.outcome(result)
    }
}

struct State<'s, 'a> {
    read: &'s mut ReadFn<'a>,
    /// Of a box.
    n_voxels: usize,
    reading: Reading,
}

unsafe extern "C" fn forward(
    state: *mut c_void,
    indices: *const i64,
    n_indices: usize,
    out: *mut f32,
    _: *mut c_char,
    _: usize,
) -> i32 {
    // SAFETY: the plugin hands back what `with_c` gave it, on the same thread, while it waits; it has checked the shape, and
    // `out` has room for as many boxes as it asks for.
    let (state, indices, out) = unsafe {
        let state = &mut *state.cast::<State<'_, '_>>();
        let out = slice::from_raw_parts_mut(out, n_indices * state.n_voxels);
        (state, slice::from_raw_parts(indices, n_indices), out)
    };
    let indices: Vec<usize> = indices.iter().map(|&index| index as usize).collect();
    state.reading.call(|| (state.read)(&indices, out))
}

impl Model {
    /// As `fine_tune`, of subtomograms that are fetched; fails with UNSUPPORTED where the plugin does not have the
    /// extension.
    pub fn fine_tune_dataset(
        &self,
        subtomograms: &mut Dataset<'_>,
        labels: &[i32],
        options: &FineTuneOptions,
        hooks: Hooks<'_>,
    ) -> Result<Model, Error> {
        let (table, options) = (self.table()?, options.to_c());
        subtomograms.with_c(|dataset| {
            hooks.run(|hooks| {
                // SAFETY: all that is passed lives until the call returns.
                self.context().model(|model, error| unsafe {
                    (table.fine_tune)(
                        self.handle(),
                        dataset,
                        labels.as_ptr(),
                        labels.len(),
                        &raw const options,
                        hooks,
                        model,
                        error,
                    )
                })
            })
        })
    }

    /// As `calibrate`, of subtomograms that are fetched.
    pub fn calibrate_dataset(
        &self,
        subtomograms: &mut Dataset<'_>,
        labels: &[i32],
        options: &cinetomo_calibration_options,
        hooks: Hooks<'_>,
    ) -> Result<Model, Error> {
        let struct_size = size_of::<cinetomo_calibration_options>();
        let options = cinetomo_calibration_options { struct_size, ..*options };
        let table = self.table()?;
        subtomograms.with_c(|dataset| {
            hooks.run(|hooks| {
                // SAFETY: all that is passed lives until the call returns.
                self.context().model(|model, error| unsafe {
                    (table.calibrate)(
                        self.handle(),
                        dataset,
                        labels.as_ptr(),
                        labels.len(),
                        &raw const options,
                        hooks,
                        model,
                        error,
                    )
                })
            })
        })
    }

    /// As `classify`, of subtomograms that are fetched.
    pub fn classify_dataset(
        &self,
        subtomograms: &mut Dataset<'_>,
        hooks: Hooks<'_>,
    ) -> Result<Vec<f32>, Error> {
        let table = self.table()?;
        let api = self.context().plugin().api();
        subtomograms.with_c(|dataset| {
            hooks.run(|hooks| {
                // SAFETY: all that is passed lives until the call returns; the buffer has the stated capacity.
                fetch(api, |buffer, capacity, len, error| unsafe {
                    (table.classify)(self.handle(), dataset, hooks, buffer, capacity, len, error)
                })
            })
        })
    }

    fn table(&self) -> Result<&'static cinetomo_dataset_api, Error> {
        // SAFETY: the id is that of the table.
        unsafe {
            extension(self.context().plugin(), ID, |table: &cinetomo_dataset_api| table.struct_size)
        }
    }
}
