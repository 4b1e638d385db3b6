//! Voxels lent to the plugin.

use std::{ffi::c_void, marker::PhantomData};

use cinetomo_abi::{
    cinetomo_axis, cinetomo_contrast, cinetomo_dtype, cinetomo_memory, cinetomo_status,
    cinetomo_volume,
};

use crate::Error;

/// A type of voxel. Half-precision voxels go through `Volume::from_f16_bits`.
pub trait Voxel: Copy + sealed::Sealed {
    /// Its number in the contract.
    const DTYPE: cinetomo_dtype;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! voxel {
    ($($type:ty = $dtype:ident),*) => {
        $(impl sealed::Sealed for $type {}
        impl Voxel for $type {
            const DTYPE: cinetomo_dtype = cinetomo_dtype::$dtype;
        })*
    };
}
voxel!(f32 = F32, u8 = U8, i8 = I8, u16 = U16, i16 = I16);

/// A borrowed batch of subtomograms `[n, z, y, x]`.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    raw: cinetomo_volume,
    voxels: PhantomData<&'a [u8]>,
}

impl<'a> Volume<'a> {
    /// Voxels in memory, x fastest, of shape n, z, y, x. The plugin checks that the slice has as many. Fails if the
    /// slice is empty.
    pub fn new<T: Voxel>(voxels: &'a [T], shape: [i64; 4]) -> Result<Volume<'a>, Error> {
        Volume::of(voxels, T::DTYPE, shape)
    }

    /// As `new`, of IEEE 754 half-precision numbers given by their bits.
    pub fn from_f16_bits(voxels: &'a [u16], shape: [i64; 4]) -> Result<Volume<'a>, Error> {
        Volume::of(voxels, cinetomo_dtype::F16, shape)
    }

    fn of<T>(voxels: &'a [T], dtype: cinetomo_dtype, shape: [i64; 4]) -> Result<Volume<'a>, Error> {
        // A length of 0 bytes means "not stated" to the plugin, which would then trust the shape.
        if voxels.is_empty() {
            return Err(Error::new(
                cinetomo_status::InvalidArgument,
                format!("there are no voxels for shape {shape:?}"),
            ));
        }
        let raw = cinetomo_volume {
            struct_size: size_of::<cinetomo_volume>(),
            data: voxels.as_ptr().cast::<c_void>(),
            data_bytes: size_of_val(voxels),
            shape,
            strides: [0; 4],
            voxel_size: 0.0,
            dtype: dtype as i32,
            memory: cinetomo_memory::Cpu as i32,
            memory_index: 0,
            contrast: cinetomo_contrast::Unknown as i32,
            beam_axis: cinetomo_axis::Z as i32,
            reserved: 0,
        };
        Ok(Volume { raw, voxels: PhantomData })
    }

    /// A volume described by hand, such as one in the memory of a GPU.
    ///
    /// # Safety
    /// For `'a`, every voxel that shape and strides reach is readable at `data`, in the memory that `memory` says.
    pub unsafe fn from_raw(raw: cinetomo_volume) -> Volume<'a> {
        let raw = cinetomo_volume { struct_size: size_of::<cinetomo_volume>(), ..raw };
        Volume { raw, voxels: PhantomData }
    }

    /// Distances between neighbours along n, z, y, x, in voxels; the plugin checks them against the slice.
    pub fn strides(mut self, strides: [i64; 4]) -> Volume<'a> {
        self.raw.strides = strides;
        self
    }

    /// Edge of a voxel in angstrom.
    pub fn voxel_size(mut self, angstrom: f64) -> Volume<'a> {
        self.raw.voxel_size = angstrom;
        self
    }

    /// Sign of the particles.
    pub fn contrast(mut self, contrast: cinetomo_contrast) -> Volume<'a> {
        self.raw.contrast = contrast as i32;
        self
    }

    /// The axis along the electron beam.
    pub fn beam_axis(mut self, axis: cinetomo_axis) -> Volume<'a> {
        self.raw.beam_axis = axis as i32;
        self
    }

    pub(crate) fn raw(&self) -> *const cinetomo_volume {
        &raw const self.raw
    }
}
