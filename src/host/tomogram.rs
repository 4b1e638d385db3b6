//! A tomogram lent to the plugin: in memory, or read piece by piece.

use std::{ffi::c_void, ptr};

use cinetomo_abi::{cinetomo_contrast, cinetomo_tomogram};

use crate::{Error, Volume, reading::Reading};

/// Fetches voxels: from which voxel `[z, y, x]`, how many along z, y, x, and where to put them, x fastest.
type ReadFn<'a> = dyn FnMut([i64; 3], [i64; 3], &mut [f32]) -> Result<(), String> + 'a;

/// A tomogram, for `Pick`.
pub struct Tomogram<'a>(Source<'a>);

enum Source<'a> {
    Memory(Volume<'a>),
    Read { read: Box<ReadFn<'a>>, shape: [i64; 3], voxel_size: f64, contrast: cinetomo_contrast },
}

impl<'a> Tomogram<'a> {
    /// A volume of one tomogram, n = 1, with its voxel size and contrast.
    pub fn in_memory(volume: Volume<'a>) -> Tomogram<'a> {
        Tomogram(Source::Memory(volume))
    }

    /// A tomogram of `shape` `[z, y, x]` voxels, each `voxel_size` angstrom wide (0 = unknown), which `read` fetches
    /// region by region: so it need not fit into memory. `read` is called on the thread that makes a call, and what it
    /// fails with becomes the message of the call's error, with status IO.
    pub fn read_by(
        shape: [i64; 3],
        voxel_size: f64,
        contrast: cinetomo_contrast,
        read: impl FnMut([i64; 3], [i64; 3], &mut [f32]) -> Result<(), String> + 'a,
    ) -> Tomogram<'a> {
        Tomogram(Source::Read { read: Box::new(read), shape, voxel_size, contrast })
    }

    /// Runs `function` with the tomogram as C sees it. What the reader fails with, or panics with, comes out when it has
    /// returned: neither may unwind through C.
    pub(crate) fn with_c<T>(
        &mut self,
        function: impl FnOnce(*const cinetomo_tomogram) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let empty = cinetomo_tomogram {
            struct_size: size_of::<cinetomo_tomogram>(),
            voxels: ptr::null(),
            read: None,
            user_data: ptr::null_mut(),
            shape: [0; 3],
            voxel_size: 0.0,
            contrast: cinetomo_contrast::Unknown as i32,
            reserved: 0,
        };
        match &mut self.0 {
            Source::Memory(volume) => {
                let raw = cinetomo_tomogram { voxels: volume.raw(), ..empty };
                function(&raw const raw)
            }
            Source::Read { read, shape, voxel_size, contrast } => {
                let mut state = State { read, reading: Reading::default() };
                let raw = cinetomo_tomogram {
                    read: Some(forward),
                    user_data: (&raw mut state).cast::<c_void>(),
                    shape: *shape,
                    voxel_size: *voxel_size,
                    contrast: *contrast as i32,
                    ..empty
                };
                let result = function(&raw const raw);
                state.reading.outcome(result)
            }
        }
    }
}

struct State<'s, 'a> {
    read: &'s mut ReadFn<'a>,
    reading: Reading,
}

unsafe extern "C" fn forward(
    state: *mut c_void,
    z0: i64,
    y0: i64,
    x0: i64,
    nz: i64,
    ny: i64,
    nx: i64,
    out: *mut f32,
) -> i32 {
    // SAFETY: the plugin hands back what `with_c` gave it, on the same thread, while it waits; `out` has room for as
    // many voxels as it asks for.
    let (state, out) = unsafe {
        let n = (nz * ny * nx) as usize;
        (&mut *state.cast::<State<'_, '_>>(), std::slice::from_raw_parts_mut(out, n))
    };
    state.reading.call(|| (state.read)([z0, y0, x0], [nz, ny, nx], out))
}
