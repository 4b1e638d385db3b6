//! MRC files (`.mrc`, `.mrcs`, `.map`, `.rec`, `.st`): volumes, stacks of volumes, stacks of images.
//!
//! Read: modes 0, 1, 2, 6, 12 (half floats) and 101 (4 bits), both orders of bytes, any order of axes, extended
//! headers, packed with gzip or bzip2. Written: mode 2. Voxels are delivered as they are stored, NaN and infinity
//! included: whether a subtomogram may have them is for its user to say.
//!
//! Rows are delivered in the file's order, as by mrcfile, RELION and Dynamo. Bio-Formats, and so Fiji, turns them
//! round: what is seen there is a mirror image.

mod header;
mod writer;

use std::{path::Path, sync::Arc};

use ndarray::Array3;

pub use self::{
    header::{HEADER_BYTES, Header},
    writer::{Writer, write},
};
use crate::{
    dtype::Dtype,
    error::{Error, ErrorKind, Result},
    source::Source,
    volumes::VolumeSource,
    voxels::{Grid, Voxels},
};

/// What the sections of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One volume.
    Volume,
    /// Volumes of `depth` sections, one after another.
    Volumes {
        /// Sections of a volume.
        depth: usize,
    },
    /// Images: as volumes of one section.
    Images,
}

/// What a file may not say rightly of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether bytes (mode 0) are signed. By default IMOD's flag decides in files with IMOD's stamp; others are
    /// signed, as the standard has it. A wrong choice looks like inverted contrast.
    pub signed_bytes: Option<bool>,
    /// What the sections are. By default the space group says it: 401 to 630 = volumes of MZ sections; 0 = images if
    /// MZ is 1, else a volume; all others = a volume. In a `.mrcs` file sections are images unless its space group
    /// says volumes, as RELION has it.
    pub layout: Option<Layout>,
}

/// An open MRC file. Opening reads and checks the header; voxels are read block by block.
#[derive(Debug)]
pub struct MrcFile {
    header: Header,
    layout: Layout,
    voxels: Voxels,
}

impl MrcFile {
    /// Opens a file, unpacking it first if it is packed. Fails unless it has exactly the bytes that its header asks for.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<MrcFile> {
        MrcFile::read(Arc::new(Source::open(path.as_ref())?), options)
    }

    /// The file whose bytes these are; `path` names it in messages and tells `.mrcs` files.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>, options: &Options) -> Result<MrcFile> {
        MrcFile::read(Arc::new(Source::from_bytes(path, bytes)), options)
    }

    pub(crate) fn read(source: Arc<Source>, options: &Options) -> Result<MrcFile> {
        let path = source.path().to_owned();
        let ((header, layout), voxels) = Voxels::of_file(source, HEADER_BYTES, |head| {
            let header = Header::parse(head, &path)?;
            let dtype = header.dtype(options.signed_bytes, &path)?;
            let layout = match options.layout {
                Some(layout) => layout,
                None => layout(&header, &path)?,
            };
            let grid = grid(&header, dtype, layout, &path)?;
            let start = header.data_start();
            Ok(((header, layout), grid, start))
        })?;
        Ok(MrcFile { header, layout, voxels })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the sections are taken for.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

impl VolumeSource for MrcFile {
    fn path(&self) -> &Path {
        self.voxels.source().path()
    }

    fn n_volumes(&self) -> usize {
        self.voxels.grid().n
    }

    fn shape(&self) -> [usize; 3] {
        self.voxels.grid().shape()
    }

    /// Edge of a voxel; 0 if the cell is 0 or its axes differ by more than a thousandth. In a stack of images, y and x
    /// decide. A size of exactly 1 is often a default that nobody has set.
    fn voxel_size(&self) -> f64 {
        let [z, y, x] = self.header.voxel_sizes();
        let z = if self.layout == Layout::Images { x } else { z };
        // f32 cells make the axes of a cubic voxel differ by 1e-7; a thousandth is far below what anyone calibrates.
        let agree = |other: f64| (other - x).abs() <= 1e-3 * x;
        if agree(y) && agree(z) { x } else { 0.0 }
    }

    fn dtype(&self) -> Dtype {
        self.voxels.grid().dtype
    }

    fn format(&self) -> String {
        let what = match self.layout {
            Layout::Volume => "a volume",
            Layout::Volumes { .. } => "a stack of volumes",
            Layout::Images => "a stack of images",
        };
        let packed = self.voxels.packed();
        format!("MRC, {what}, mode {}, {}{packed}", self.header.mode, self.header.endian)
    }

    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>> {
        self.voxels.read_block(index, start, size)
    }
}

/// What the header and the name of the file say of its sections.
fn layout(header: &Header, path: &Path) -> Result<Layout> {
    let depth = header.intervals[2] as usize;
    match header.space_group {
        // Space group + 400: MRC2014, "volume stacks".
        401..=630 => Ok(Layout::Volumes { depth }),
        _ if is_image_stack(path) => Ok(Layout::Images),
        0 if depth == 1 => Ok(Layout::Images),
        0..=230 => Ok(Layout::Volume),
        other => Err(Error::format(
            path,
            format!("byte 88: ISPG is {other}, expected 0, 1 to 230 or 401 to 630"),
        )),
    }
}

/// Whether the name ends with `.mrcs`, or so before `.gz` or `.bz2`.
fn is_image_stack(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".bz2")).unwrap_or(&name);
    name.ends_with(".mrcs")
}

/// Where the voxels of each volume lie.
fn grid(header: &Header, dtype: Dtype, layout: Layout, path: &Path) -> Result<Grid> {
    let [columns, rows, sections] = header.extents;
    let (n, depth) = match layout {
        Layout::Volume => (1, sections),
        Layout::Images => (sections, 1),
        Layout::Volumes { depth } if depth > 0 && sections % depth == 0 => {
            (sections / depth, depth)
        }
        Layout::Volumes { depth } => {
            let message = format!("{sections} sections are no volumes of {depth} sections each");
            return Err(Error::format(path, message));
        }
    };
    if layout != Layout::Volume && header.axes[2] != 3 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            path,
            format!("bytes 64 to 75: a stack whose axes are {:?}; expected z last", header.axes),
        ));
    }
    // 1, 2, 3 in the order columns, rows, sections become 2, 1, 0 in the order sections, rows, columns.
    let [c, r, s] = header.axes.map(|axis| (3 - axis) as usize);
    Ok(Grid { n, extents: [depth, rows, columns], axes: [s, r, c], dtype, endian: header.endian })
}
