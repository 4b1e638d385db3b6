//! TIFF files (`.tif`, `.tiff`): stacks of grey images, as ImageJ and others write them, up to BigTIFF.
//!
//! Pages are the slices of a volume. ImageJ's description (also OME's and tifffile's) may make them several volumes:
//! time points are subtomograms. Read: 8 to 64 bits, integers and floats; uncompressed, PackBits, LZW, deflate; strips
//! and tiles. ImageJ writes stacks of more than 4 GB as one page with all voxels behind it; these are read too.

mod chunk;
mod description;
mod directory;

use std::{path::Path, sync::Arc};

use ndarray::Array3;

use self::{
    description::Description,
    directory::{Container, Image, Page},
};
use crate::{
    dtype::{self, Dtype},
    error::{Error, ErrorKind, Result},
    source::Source,
    volumes::VolumeSource,
    voxels::{self, Grid, Voxels},
};

/// Whether a file begins like a TIFF file: order of bytes, then 42, or 43 for BigTIFF.
pub(crate) fn recognizes(head: &[u8]) -> bool {
    matches!(head, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

/// An open TIFF file. Opening reads and checks the directory of every page; voxels are read when they are asked for.
#[derive(Debug)]
pub struct TiffFile {
    container: Container,
    pages: Pages,
    image: Image,
    description: Description,
    voxel_size: f64,
}

#[derive(Debug)]
enum Pages {
    /// Where the directory of each lies.
    Listed(Vec<u64>),
    /// All lie behind the first, which alone has a directory.
    Contiguous(Voxels),
}

impl TiffFile {
    /// Opens a file. Fails unless all pages are grey images of one size and type, as many as the description says.
    pub fn open(path: impl AsRef<Path>) -> Result<TiffFile> {
        TiffFile::read(Arc::new(Source::open(path.as_ref())?))
    }

    /// The file whose bytes these are; `path` names it in messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<TiffFile> {
        TiffFile::read(Arc::new(Source::from_bytes(path, bytes)))
    }

    pub(crate) fn read(source: Arc<Source>) -> Result<TiffFile> {
        let container = Container::open(Arc::clone(&source))?;
        let mut first: Option<Page> = None;
        let (mut text, mut resolution) = (String::new(), None);
        let mut index = 0;
        let mut left = source.len();
        let pages = container.walk(|directory| {
            let page = directory.page()?;
            // Pages that shared their bytes would make a small file ask for any amount of memory.
            for count in &page.counts {
                left = left.checked_sub(*count).ok_or_else(|| {
                    let message = format!(
                        "page {index}: overlaps others: its chunks and theirs have \
                                           more bytes than the file"
                    );
                    Error::format(source.path(), message)
                })?;
            }
            match &first {
                None => {
                    text = directory.description()?;
                    resolution = directory.resolution()?;
                    first = Some(page);
                }
                Some(first) if first.image != page.image => {
                    let (expected, found) = (first.image, page.image);
                    let message =
                        format!("page {index}: expected {expected} as page 0, found {found}");
                    return Err(Error::format(source.path(), message));
                }
                Some(_) => {}
            }
            index += 1;
            Ok(())
        })?;
        let Some(first) = first else {
            return Err(Error::format(source.path(), "no page"));
        };
        let description = description::parse(&text, pages.len()).map_err(|message| {
            let message = format!("description of page 0: {message}");
            Error::new(ErrorKind::Unsupported, source.path(), message)
        })?;
        let (frames, slices) = (description.frames, description.slices);
        let Image { height, width, dtype } = first.image;
        let pages = match (pages.len(), first.contiguous()) {
            (n, _) if frames.checked_mul(slices) == Some(n) => Pages::Listed(pages),
            (1, Some(start)) => {
                let grid = Grid::zyx(frames, [slices, height, width], dtype, container.endian);
                Pages::Contiguous(Voxels::new(source, start, grid)?)
            }
            (n, _) => {
                let message = format!(
                    "the description says {frames} volumes of {slices} slices, the file has {n} pages"
                );
                return Err(Error::format(source.path(), message));
            }
        };
        let voxel_size = voxel_size(&description, resolution);
        Ok(TiffFile { container, pages, image: first.image, description, voxel_size })
    }

    fn read_listed(
        &self,
        pages: &[u64],
        index: usize,
        start: [usize; 3],
        size: [usize; 3],
    ) -> Result<Array3<f32>> {
        let source = &self.container.source;
        voxels::check_block(source, self.n_volumes(), self.shape(), index, start, size)?;
        let mut block: Vec<f32> = voxels::zeros(source, size)?;
        let first = index * self.description.slices + start[0];
        let slices = block.chunks_exact_mut(size[1] * size[2]);
        for (index, (slice, &offset)) in slices.zip(&pages[first..]).enumerate() {
            let page = self.container.directory(offset, first + index)?.page()?;
            if page.image != self.image {
                let message = format!("page {}: changed since the file was opened", first + index);
                return Err(Error::format(source.path(), message));
            }
            self.read_page(&page, first + index, [start[1], start[2]], [size[1], size[2]], slice)?;
        }
        // The sizes are those that the vector was made for.
        Array3::from_shape_vec(size, block)
            .map_err(|error| Error::new(ErrorKind::Invalid, source.path(), error.to_string()))
    }

    /// Reads rows and columns `start` to `start + size` of a page.
    fn read_page(
        &self,
        page: &Page,
        index: usize,
        start: [usize; 2],
        size: [usize; 2],
        slice: &mut [f32],
    ) -> Result<()> {
        let Container { source, endian, .. } = &self.container;
        let Image { height, width, dtype } = page.image;
        if let Some(first) = page.contiguous() {
            let grid = Grid::zyx(1, [1, height, width], dtype, *endian);
            let voxels = Voxels::new(Arc::clone(source), first, grid)?;
            return voxels.read_rows(0, [0, start[0], start[1]], [1, size[0], size[1]], slice);
        }
        let voxel_bytes = dtype.row_bytes(1).unwrap_or(1) as usize;
        let across = width.div_ceil(page.chunk[1]);
        let range = |axis: usize| {
            let (first, last) = (start[axis], start[axis] + size[axis] - 1);
            first / page.chunk[axis]..=last / page.chunk[axis]
        };
        for (down, right) in range(0).flat_map(|down| range(1).map(move |right| (down, right))) {
            let chunk = down * across + right;
            let [rows, columns] = page.chunk_extents(chunk);
            // `Directory::page` has compared these sizes with the file's.
            let mut packed = voxels::zeros(source, [1, 1, page.counts[chunk] as usize])?;
            source.read_at(page.offsets[chunk], &mut packed)?;
            let mut bytes: Vec<u8> = voxels::zeros(source, [rows, columns, voxel_bytes])?;
            page.compression.unpack(&packed, &mut bytes).map_err(|message| {
                let message = format!("page {index}: chunk {chunk}: {message}");
                Error::format(source.path(), message)
            })?;
            let [top, left] = [down * page.chunk[0], right * page.chunk[1]];
            let first_column = start[1].max(left);
            let end_column = (start[1] + size[1]).min(left + columns);
            for (y, row) in bytes.chunks_exact_mut(columns * voxel_bytes).enumerate() {
                let Some(to) = (top + y).checked_sub(start[0]).filter(|to| *to < size[0]) else {
                    continue;
                };
                let order = page.predictor.undo(row, voxel_bytes, *endian);
                let from =
                    &row[(first_column - left) * voxel_bytes..(end_column - left) * voxel_bytes];
                let to = &mut slice[to * size[1]..][first_column - start[1]..end_column - start[1]];
                dtype::decode(dtype, order, from, 0, to);
            }
        }
        Ok(())
    }
}

impl VolumeSource for TiffFile {
    fn path(&self) -> &Path {
        self.container.source.path()
    }

    fn n_volumes(&self) -> usize {
        self.description.frames
    }

    fn shape(&self) -> [usize; 3] {
        [self.description.slices, self.image.height, self.image.width]
    }

    /// From ImageJ's resolution, spacing and unit, where they make a cubic voxel; otherwise 0.
    fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    fn dtype(&self) -> Dtype {
        self.image.dtype
    }

    fn format(&self) -> String {
        let contiguous = match &self.pages {
            Pages::Listed(_) => "",
            Pages::Contiguous(_) => ", one page with all voxels behind it",
        };
        format!("TIFF, {} description{contiguous}", self.description.dialect)
    }

    /// Where ImageJ has calibrated grey values by a straight line, calibrated ones are read.
    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>> {
        let mut block = match &self.pages {
            Pages::Contiguous(voxels) => voxels.read_block(index, start, size)?,
            Pages::Listed(decoder) => self.read_listed(decoder, index, start, size)?,
        };
        if let Some((offset, slope)) = self.description.line {
            block.mapv_inplace(|voxel| (offset + slope * f64::from(voxel)) as f32);
        }
        Ok(block)
    }
}

/// Edge of a cubic voxel in angstrom, or 0. ImageJ leaves out a spacing of 1 unit.
fn voxel_size(description: &Description, resolution: Option<[f64; 2]>) -> f64 {
    let (Some(unit), Some([x, y])) = (description.unit, resolution) else {
        return 0.0;
    };
    let (x, y) = (unit / x, unit / y);
    let z = unit * description.spacing.unwrap_or(1.0);
    // ImageJ writes resolutions as millionths; a thousandth is far below what anyone calibrates.
    let agree = |other: f64| (other - x).abs() <= 1e-3 * x;
    if agree(y) && (agree(z) || description.slices == 1) { x } else { 0.0 }
}

#[cfg(test)]
mod tiff_test;
