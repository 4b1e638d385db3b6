//! The subtomograms of a run, wherever they lie: read box by box, never all at once.

mod open;
mod part;

use std::{ops::Range, path::PathBuf};

use cinetomo_host::{
    Dataset, Volume,
    abi::{cinetomo_axis, cinetomo_contrast},
};
use clap::{Args, ValueEnum};

pub use self::part::{List, Part};
use crate::{
    console::Console,
    failure::{Failure, Result},
};

/// Bytes of voxels that are in memory at once where boxes are read in chunks.
const CHUNK_BYTES: usize = 64 << 20;

/// Most boxes of a chunk.
const MAX_CHUNK: usize = 1024;

/// Which subtomograms, and what their files do not say.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Subtomograms")]
pub struct BoxArgs {
    /// Boxes: a stack or single box (.mrc .mrcs .map .em .tif .npy .npz, .gz too), a directory of boxes, a particle
    /// list (.star of RELION, Warp, STOPGAP; Dynamo .tbl) that names them, or a .csv of labels (path, label, maybe group)
    #[arg(long, short, value_name = "PATH", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// RELION's project directory, which paths in a list are relative to; by default the directories above the list
    /// are tried
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Folder of the images, for lists that number them (Dynamo, STOPGAP); by default that of the list
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Edge of a voxel in angstrom; by default as the files say
    #[arg(long, value_name = "ANGSTROM")]
    pub voxel_size: Option<f64>,
    /// Particles against their surroundings: dark as tomograms are reconstructed, bright as RELION and Warp export
    /// them. The model remembers it and warns when it differs
    #[arg(long, value_enum, default_value_t = Contrast::Unknown)]
    pub contrast: Contrast,
    /// The axis along the electron beam
    #[arg(long, value_enum, default_value_t = Axis::Z)]
    pub beam: Axis,
    /// Sections of each box, for MRC stacks that do not say it (space group 401 does)
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Whether 8-bit voxels of MRC files are signed; by default as IMOD's flag or the standard has it. If contrast
    /// looks inverted, this is the reason
    #[arg(long, value_name = "BOOL")]
    pub signed_bytes: Option<bool>,
    /// Which array of an .npz archive
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,
    /// Which part of a MedMNIST3D archive
    #[arg(long, value_enum)]
    pub part: Option<MedMnistPart>,
}

/// Sign of the particles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Contrast {
    /// Not stated
    #[default]
    Unknown,
    /// Dark particles on bright
    Dark,
    /// Bright particles on dark
    Bright,
}

impl Contrast {
    /// As the contract has it.
    pub fn of_contract(self) -> cinetomo_contrast {
        match self {
            Contrast::Unknown => cinetomo_contrast::Unknown,
            Contrast::Dark => cinetomo_contrast::Dark,
            Contrast::Bright => cinetomo_contrast::Bright,
        }
    }
}

/// An axis of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// The slowest, as in tomograms on disk
    #[default]
    Z,
    /// The middle one
    Y,
    /// The fastest
    X,
}

impl Axis {
    /// As the contract has it.
    fn of_contract(self) -> cinetomo_axis {
        match self {
            Axis::Z => cinetomo_axis::Z,
            Axis::Y => cinetomo_axis::Y,
            Axis::X => cinetomo_axis::X,
        }
    }
}

/// A part of a MedMNIST3D data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MedMnistPart {
    /// To train on
    Train,
    /// To choose by
    Val,
    /// To measure on
    Test,
}

/// Subtomograms of one size, counted from 0 through all parts.
#[derive(Debug)]
pub struct Boxes {
    parts: Vec<Part>,
    /// Index of the first box of each part, and their number at the end.
    starts: Vec<usize>,
    shape: [usize; 3],
    voxel_size: f64,
    contrast: Contrast,
    beam: Axis,
}

impl Boxes {
    /// Opens what the options name. Headers of all files are checked, voxels are not read.
    ///
    /// # Errors
    /// There is no input, a file cannot be read, boxes differ in size, or are 2D.
    pub fn open(args: &BoxArgs, console: &Console) -> Result<Boxes> {
        let parts = args.input.iter().map(|path| Part::open(path, args, console));
        Boxes::of_parts(parts.collect::<Result<_>>()?, args, console)
    }

    /// Boxes of these parts.
    ///
    /// # Errors
    /// There are none, or they differ in size.
    pub fn of_parts(parts: Vec<Part>, args: &BoxArgs, console: &Console) -> Result<Boxes> {
        let Some(first) = parts.first() else {
            return Err(Failure::Usage("no subtomograms: name them with --input".to_owned()));
        };
        let (shape, mut voxel_size) = (first.shape(), first.voxel_size());
        let mut starts = vec![0];
        let mut n = 0;
        for part in &parts {
            if part.shape() != shape {
                let message = format!(
                    "boxes of {:?} voxels (z, y, x); those of {} have {shape:?}",
                    part.shape(),
                    first.path().display()
                );
                return Err(Failure::at(part.path(), message));
            }
            let other = part.voxel_size();
            if args.voxel_size.is_none() && differ(other, voxel_size, 1e-3) {
                let message = format!(
                    "voxels of {other} angstrom; those of {} have {voxel_size}. If that is an error of the files, \
                     say the right one with --voxel-size",
                    first.path().display()
                );
                return Err(Failure::at(part.path(), message));
            }
            voxel_size = voxel_size.max(other);
            n += part.len();
            starts.push(n);
        }
        let place = first.path().display().to_string();
        let extents = shape.iter().max().zip(shape.iter().min());
        if let (1, Some((longest, shortest))) = (n, extents)
            && *longest >= 2 * shortest
        {
            console.warn(format!(
                "{place} is one box of {} x {} x {} voxels; if it is a tomogram, `cinetomo tomogram` picks the particles in it",
                shape[0], shape[1], shape[2]
            ));
        }
        voxel_size = warn_of_voxel_size(args.voxel_size, voxel_size, &place, console)?;
        let contrast = contrast_of(&parts, args.contrast, console)?;
        if contrast == Contrast::Unknown {
            console.info("contrast is not stated (--contrast dark or bright): nothing will warn if it changes");
        }
        Ok(Boxes { parts, starts, shape, voxel_size, contrast, beam: args.beam })
    }

    /// Number of boxes, at least 1.
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Voxels of each along z, y, x.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Edge of a voxel in angstrom; 0 = unknown.
    pub fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// Sign of the particles, as it was stated.
    pub fn contrast(&self) -> Contrast {
        self.contrast
    }

    /// What they come from.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that a box is of, and its index there.
    fn place(&self, index: usize) -> (&Part, usize) {
        let part = self.starts.partition_point(|&start| start <= index).saturating_sub(1);
        let part = part.min(self.parts.len() - 1);
        (&self.parts[part], index - self.starts[part])
    }

    /// Name of a box: its path, or number@path in a stack.
    pub fn name(&self, index: usize) -> String {
        let (part, index) = self.place(index);
        part.name(index)
    }

    /// Name of the tomogram or group that a box is of.
    pub fn group(&self, index: usize) -> Option<&str> {
        let (part, index) = self.place(index);
        part.group(index)
    }

    /// Whether all parts know groups.
    pub fn has_groups(&self) -> bool {
        self.parts.iter().all(Part::has_groups)
    }

    /// Ranges of `n` boxes that are small enough to be in memory at once.
    pub fn chunks(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let bytes = 4 * self.shape.iter().product::<usize>();
        let step = (CHUNK_BYTES / bytes.max(1)).clamp(1, MAX_CHUNK);
        (0..n).step_by(step).map(move |start| start..(start + step).min(n))
    }

    /// The voxels of boxes, one after the other.
    ///
    /// # Errors
    /// A file cannot be read, or a box is constant or has voxels that are not finite: with its name.
    pub fn read(&self, indices: impl IntoIterator<Item = usize>) -> Result<Vec<f32>> {
        let n_voxels = self.shape.iter().product::<usize>();
        let mut voxels: Vec<f32> = Vec::new();
        for index in indices {
            let (part, in_part) = self.place(index);
            voxels.try_reserve(n_voxels).map_err(|_| {
                Failure::Error(format!("no memory for the voxels of {}", self.name(index)))
            })?;
            let start = voxels.len();
            part.read(in_part, &mut voxels)?;
            check_voxels(&voxels[start..])
                .map_err(|reason| Failure::Error(format!("{}: {reason}", self.name(index))))?;
        }
        Ok(voxels)
    }

    /// Memory that the voxels of `n` boxes take.
    pub fn bytes(&self, n: usize) -> u64 {
        let of_box =
            self.shape.iter().fold(4u64, |bytes, &extent| bytes.saturating_mul(extent as u64));
        of_box.saturating_mul(n as u64)
    }

    /// These boxes as the plugin fetches them, a few at a time.
    pub fn dataset<'a>(&'a self, indices: &'a [usize]) -> Dataset<'a> {
        // Extents of boxes that exist fit into an i64.
        let [z, y, x] = self.shape.map(|extent| extent as i64);
        let read = |wanted: &[usize], out: &mut [f32]| {
            let voxels = self.read(wanted.iter().map(|&place| indices[place]));
            out.copy_from_slice(&voxels.map_err(|failure| failure.to_string())?);
            Ok(())
        };
        Dataset::read_by([indices.len() as i64, z, y, x], read)
            .voxel_size(self.voxel_size)
            .contrast(self.contrast.of_contract())
            .beam_axis(self.beam.of_contract())
    }

    /// These voxels as the plugin takes them.
    ///
    /// # Errors
    /// There are none.
    pub fn volume<'a>(&self, voxels: &'a [f32]) -> Result<Volume<'a>> {
        let n = voxels.len() / self.shape.iter().product::<usize>().max(1);
        // Extents of memory that exists fit into an i64.
        let [z, y, x] = self.shape.map(|extent| extent as i64);
        let volume = Volume::new(voxels, [n as i64, z, y, x])?;
        Ok(volume
            .voxel_size(self.voxel_size)
            .contrast(self.contrast.of_contract())
            .beam_axis(self.beam.of_contract()))
    }
}

/// The contrast that counts: what the user says, with a warning where a list says otherwise, or else what all lists say.
fn contrast_of(parts: &[Part], given: Contrast, console: &Console) -> Result<Contrast> {
    let word = |contrast| if contrast == Contrast::Dark { "dark" } else { "bright" };
    if given != Contrast::Unknown {
        let is_other = |part: &&Part| ![given, Contrast::Unknown].contains(&part.contrast());
        if let Some(part) = parts.iter().find(is_other) {
            let (path, stated) = (part.path().display(), word(part.contrast()));
            console.warn(format!(
                "{path} says {stated} particles; --contrast {} is used",
                word(given)
            ));
        }
        return Ok(given);
    }
    let has = |contrast| parts.iter().find(|part| part.contrast() == contrast);
    match (has(Contrast::Dark), has(Contrast::Bright), has(Contrast::Unknown)) {
        (Some(dark), Some(bright), _) => {
            let message = format!("bright particles; those of {} are dark", dark.path().display());
            Err(Failure::at(bright.path(), message))
        }
        (Some(_), None, None) => Ok(Contrast::Dark),
        (None, Some(_), None) => Ok(Contrast::Bright),
        _ => Ok(Contrast::Unknown),
    }
}

/// Whether two known sizes differ by more than this fraction; 0 = unknown.
fn differ(a: f64, b: f64, fraction: f64) -> bool {
    a > 0.0 && b > 0.0 && (a - b).abs() > fraction * b
}

/// The voxel size that counts, with warnings where it is doubtful.
pub fn warn_of_voxel_size(
    given: Option<f64>,
    found: f64,
    place: &str,
    console: &Console,
) -> Result<f64> {
    if let Some(given) = given {
        if !(given.is_finite() && given > 0.0) {
            return Err(Failure::Usage(format!(
                "--voxel-size {given}: expected a positive number of angstrom"
            )));
        }
        if differ(found, given, 0.01) && found != 1.0 {
            console.warn(format!(
                "{place} says voxels of {found} angstrom; --voxel-size {given} is used"
            ));
        }
        return Ok(given);
    }
    if found == 0.0 {
        console.warn(format!(
            "{place} does not say its voxel size (--voxel-size): a model of another scale will not be noticed"
        ));
    } else if found == 1.0 {
        console.warn(format!(
            "{place} says voxels of 1 angstrom, as programs write that do not know it; --voxel-size overrides it"
        ));
    }
    Ok(found)
}

/// Fails if a box is constant or not finite.
fn check_voxels(voxels: &[f32]) -> Result<(), String> {
    let n_odd = voxels.iter().filter(|voxel| !voxel.is_finite()).count();
    if n_odd > 0 {
        return Err(format!("{n_odd} of {} voxels are NaN or infinite", voxels.len()));
    }
    match voxels.first() {
        Some(first) if voxels.iter().all(|voxel| voxel == first) => {
            Err(format!("all voxels are {first}; a subtomogram must not be constant"))
        }
        _ => Ok(()),
    }
}
