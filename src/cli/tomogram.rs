//! A tomogram of a run: read region by region, never as a whole.

use std::path::Path;

use cinetomo_formats::{
    mrc::Layout,
    volumes::{self, VolumeSource},
};
use cinetomo_host::Tomogram;
use clap::Args;

use crate::{
    boxes::{Contrast, warn_of_voxel_size},
    console::Console,
    failure::{Failure, Result},
};

/// What the file of a tomogram does not say.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tomogram")]
pub struct TomogramArgs {
    /// Edge of a voxel in angstrom; by default as the file says
    #[arg(long, value_name = "ANGSTROM")]
    pub voxel_size: Option<f64>,
    /// Particles against their surroundings: dark as tomograms are reconstructed, bright if they were inverted
    #[arg(long, value_enum, default_value_t = Contrast::Unknown)]
    pub contrast: Contrast,
    /// Whether 8-bit voxels of MRC files are signed; by default as IMOD's flag or the standard has it
    #[arg(long, value_name = "BOOL")]
    pub signed_bytes: Option<bool>,
    /// Which array of an .npz archive
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,
}

/// A tomogram that is open.
#[derive(Debug)]
pub struct OpenTomogram {
    source: Box<dyn VolumeSource>,
    name: String,
    voxel_size: f64,
    contrast: Contrast,
}

impl OpenTomogram {
    /// Opens a file; its header is checked, voxels are not read.
    ///
    /// # Errors
    /// It cannot be read, or has more than one volume.
    pub fn open(path: &Path, args: &TomogramArgs, console: &Console) -> Result<OpenTomogram> {
        let open = |layout| {
            let (signed_bytes, array) = (args.signed_bytes, args.array.clone());
            volumes::open_with(path, &volumes::Options { signed_bytes, layout, array })
        };
        let mut source = open(None)?;
        if source.n_volumes() != 1 && source.shape()[0] == 1 {
            // Programs that write tomograms often leave the header of an image stack.
            source = open(Some(Layout::Volume))?;
        }
        let [depth, height, width] = source.shape();
        if source.n_volumes() != 1 {
            let n = source.n_volumes();
            let message = format!(
                "{n} volumes of {depth} x {height} x {width} voxels; expected one tomogram. Boxes are what \
                 `cinetomo classify` takes"
            );
            return Err(Failure::at(path, message));
        }
        let name = path.display().to_string();
        let voxel_size = warn_of_voxel_size(args.voxel_size, source.voxel_size(), &name, console)?;
        console.info(format!(
            "{name}: {depth} x {height} x {width} voxels (z, y, x), {}",
            source.format()
        ));
        Ok(OpenTomogram { source, name, voxel_size, contrast: args.contrast })
    }

    /// Its path, as it was typed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Voxels along z, y, x.
    pub fn shape(&self) -> [usize; 3] {
        self.source.shape()
    }

    /// Edge of a voxel in angstrom; 0 = unknown.
    pub fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// Sign of its particles.
    pub fn contrast(&self) -> Contrast {
        self.contrast
    }

    /// The voxels of a region, x fastest.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn region(&self, start: [usize; 3], extent: [usize; 3]) -> Result<Vec<f32>> {
        Ok(self.source.read_block(0, start, extent)?.iter().copied().collect())
    }

    /// For the plugin, which reads it as it needs it.
    pub fn lend(&self) -> Tomogram<'_> {
        // Extents of volumes that can be read fit into an i64; the plugin asks for regions within them.
        let shape = self.shape().map(|extent| extent as i64);
        let contrast = self.contrast.of_contract();
        Tomogram::read_by(shape, self.voxel_size, contrast, |start, extent, out| {
            let [start, extent] = [start, extent].map(|at| at.map(|along| along as usize));
            let block =
                self.source.read_block(0, start, extent).map_err(|error| error.to_string())?;
            for (out, voxel) in out.iter_mut().zip(&block) {
                *out = *voxel;
            }
            Ok(())
        })
    }
}
