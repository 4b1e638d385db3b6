//! TIFF files (`.tif`, `.tiff`): stacks of grey images, as ImageJ and others write them, up to BigTIFF.
//!
//! Pages are the slices of a volume. ImageJ's description (also OME's and tifffile's) may make them several volumes:
//! time points are subtomograms. Read: 8 to 64 bits, integers and floats; uncompressed, PackBits, LZW, deflate; strips
//! and tiles. ImageJ writes stacks of more than 4 GB as one page with all voxels behind it; these are read too.

mod description;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ndarray::Array3;
use tiff::{
    TiffError,
    decoder::{ChunkType, Decoder, Limits, ifd::Value},
    tags::{CompressionMethod, Tag},
};

use self::description::Description;
use crate::{
    error::{Error, ErrorKind, Result},
    source::{Source, SourceReader},
    volumes::VolumeSource,
    voxels::{self, Dtype, Endian, Grid, Voxels},
};

/// Whether a file begins like a TIFF file: order of bytes, then 42, or 43 for BigTIFF.
pub(crate) fn recognizes(head: &[u8]) -> bool {
    matches!(head, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

/// An open TIFF file. Opening reads the directory of every page; voxels are read page by page.
pub struct TiffFile {
    source: Arc<Source>,
    pages: Pages,
    page: Page,
    description: Description,
    voxel_size: f64,
}

enum Pages {
    /// Each has a directory. The decoder has a position, so threads take turns.
    Listed(Mutex<Decoder<SourceReader>>),
    /// All lie behind the first.
    Contiguous(Voxels),
}

/// What all pages of a file have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Page {
    height: usize,
    width: usize,
    dtype: Dtype,
}

impl std::fmt::Debug for TiffFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TiffFile")
            .field("path", &self.source.path())
            .field("page", &self.page)
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
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
        let damaged = |page: usize, error| damaged(&source, page, error);
        let mut decoder = Decoder::new(source.reader()).map_err(|error| damaged(0, error))?;
        let page = check_page(&mut decoder, &source, 0)?;
        let text = first_description(&mut decoder).map_err(|error| damaged(0, error))?;
        let resolution = resolution(&mut decoder);
        let first = Strip::only(&mut decoder).map_err(|error| damaged(0, error))?;
        let mut n_pages = 1;
        while decoder.more_images() {
            decoder.next_image().map_err(|error| damaged(n_pages, error))?;
            let other = check_page(&mut decoder, &source, n_pages)?;
            if other != page {
                let message =
                    format!("page {n_pages}: expected {page:?} as page 0, found {other:?}");
                return Err(Error::format(source.path(), message));
            }
            n_pages += 1;
        }

        let description = description::parse(&text, n_pages).map_err(|message| {
            let message = format!("description of page 0: {message}");
            Error::new(ErrorKind::Unsupported, source.path(), message)
        })?;
        let Page { height, width, dtype } = page;
        let images = description.frames.checked_mul(description.slices);
        let pages = match first {
            _ if images == Some(n_pages) => {
                // The decoder's own limit is a fixed one; `check_page` has compared pages with the file.
                let mut limits = Limits::unlimited();
                limits.ifd_value_size = usize::try_from(source.len()).unwrap_or(usize::MAX);
                Pages::Listed(Mutex::new(decoder.with_limits(limits)))
            }
            Some(strip) if n_pages == 1 => {
                let (frames, shape) = (description.frames, [description.slices, height, width]);
                let grid = Grid::zyx(frames, shape, dtype, strip.endian);
                Pages::Contiguous(Voxels::new(Arc::clone(&source), strip.start, grid)?)
            }
            _ => {
                let (frames, slices) = (description.frames, description.slices);
                let message = format!(
                    "the description says {frames} volumes of {slices} slices, the file has {n_pages} pages"
                );
                return Err(Error::format(source.path(), message));
            }
        };
        let voxel_size = voxel_size(&description, resolution);
        Ok(TiffFile { source, pages, page, description, voxel_size })
    }

    /// Reads page `index` and hands each of its wanted rows to `row`.
    fn read_page(
        &self,
        decoder: &mut Decoder<SourceReader>,
        index: usize,
        mut row: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let damaged = |error| damaged(&self.source, index, error);
        decoder.seek_to_image(index).map_err(damaged)?;
        let Page { height, width, dtype } = self.page;
        // `check_page` has shown that these are numbers which the file's own size justifies.
        let row_bytes = dtype.row_bytes(width as u64).unwrap_or(0) as usize;
        let mut bytes: Vec<u8> = voxels::zeros(&self.source, [1, height, row_bytes])?;
        decoder.read_image_bytes(&mut bytes).map_err(damaged)?;
        bytes.chunks_exact(row_bytes).enumerate().for_each(|(y, bytes)| row(y, bytes));
        Ok(())
    }

    fn read_listed(
        &self,
        decoder: &Mutex<Decoder<SourceReader>>,
        index: usize,
        start: [usize; 3],
        size: [usize; 3],
    ) -> Result<Array3<f32>> {
        voxels::check_block(&self.source, self.n_volumes(), self.shape(), index, start, size)?;
        let mut block: Vec<f32> = voxels::zeros(&self.source, size)?;
        let [n_sections, n_rows, n_columns] = size;
        let dtype = self.page.dtype;
        // The decoder delivers numbers in this machine's order.
        let endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };
        let voxel_bytes = dtype.row_bytes(1).unwrap_or(1) as usize;
        let first_byte = start[2] * voxel_bytes;
        // After a panic in another thread the decoder is still sound: every page is sought anew.
        let mut decoder = decoder.lock().unwrap_or_else(PoisonError::into_inner);
        for (section, slice) in block.chunks_exact_mut(n_rows * n_columns).enumerate() {
            let page = index * self.description.slices + start[0] + section;
            self.read_page(&mut decoder, page, |y, bytes| {
                let Some(row) = y.checked_sub(start[1]).filter(|row| *row < n_rows) else {
                    return;
                };
                let voxels = &mut slice[row * n_columns..(row + 1) * n_columns];
                let bytes = &bytes[first_byte..first_byte + n_columns * voxel_bytes];
                voxels::decode(dtype, endian, bytes, 0, voxels);
            })?;
        }
        // The sizes are those that the vector was made for.
        Array3::from_shape_vec([n_sections, n_rows, n_columns], block)
            .map_err(|error| Error::new(ErrorKind::Invalid, self.source.path(), error.to_string()))
    }
}

impl VolumeSource for TiffFile {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn n_volumes(&self) -> usize {
        self.description.frames
    }

    fn shape(&self) -> [usize; 3] {
        [self.description.slices, self.page.height, self.page.width]
    }

    /// From ImageJ's resolution, spacing and unit, where they make a cubic voxel; otherwise 0.
    fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    fn dtype(&self) -> Dtype {
        self.page.dtype
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

/// The only strip of an uncompressed page.
struct Strip {
    start: u64,
    endian: Endian,
}

impl Strip {
    fn only(decoder: &mut Decoder<SourceReader>) -> Result<Option<Strip>, TiffError> {
        let compression = decoder.find_tag_unsigned::<u16>(Tag::Compression)?.unwrap_or(1);
        if compression != CompressionMethod::None.to_u16()
            || decoder.get_chunk_type() != ChunkType::Strip
        {
            return Ok(None);
        }
        let endian = match decoder.byte_order() {
            tiff::tags::ByteOrder::LittleEndian => Endian::Little,
            tiff::tags::ByteOrder::BigEndian => Endian::Big,
        };
        let offsets = decoder.get_tag_u64_vec(Tag::StripOffsets)?;
        Ok(match offsets[..] {
            [start] => Some(Strip { start, endian }),
            _ => None,
        })
    }
}

/// What the decoder's current page is. Fails if it is none that can be read, or if its voxels cannot come out of the
/// bytes that it claims, or the file does not have these.
fn check_page(decoder: &mut Decoder<SourceReader>, source: &Source, index: usize) -> Result<Page> {
    let damaged = |error| damaged(source, index, error);
    let unsupported = |message: String| {
        let message = format!("page {index}: {message}");
        Err(Error::new(ErrorKind::Unsupported, source.path(), message))
    };
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let mut tag = |tag, default| {
        let value = decoder.find_tag_unsigned_vec::<u16>(tag).map_err(damaged)?;
        Ok(value.and_then(|values| values.first().copied()).unwrap_or(default))
    };
    let samples = tag(Tag::SamplesPerPixel, 1)?;
    let photometric = tag(Tag::PhotometricInterpretation, 1)?;
    if samples != 1 || photometric != 1 {
        return unsupported(format!(
            "{samples} samples a pixel, photometric interpretation {photometric}: expected grey (1 and 1); in ImageJ \
             use the lookup table Grays, not inverted"
        ));
    }
    let bits = tag(Tag::BitsPerSample, 1)?;
    let format = tag(Tag::SampleFormat, 1)?;
    let dtype = match (bits, format) {
        (8, 1) => Dtype::U8,
        (8, 2) => Dtype::I8,
        (16, 1) => Dtype::U16,
        (16, 2) => Dtype::I16,
        (16, 3) => Dtype::F16,
        (32, 1) => Dtype::U32,
        (32, 2) => Dtype::I32,
        (32, 3) => Dtype::F32,
        (64, 1) => Dtype::U64,
        (64, 2) => Dtype::I64,
        (64, 3) => Dtype::F64,
        _ => return unsupported(format!("{bits} bits a sample of format {format}")),
    };
    let predictor = tag(Tag::Predictor, 1)?;
    if predictor > 3 || (predictor == 3 && format != 3) {
        return unsupported(format!("predictor {predictor} on {dtype}"));
    }
    let compression = tag(Tag::Compression, 1)?;
    // How many bytes can come out of one. LZW: the longest string of a 12-bit code, 4096 - 258 bytes and some; deflate:
    // 258 bytes from 2 bits; PackBits: 128 from 2 bytes. Rounded up.
    let expansion = match CompressionMethod::from_u16_exhaustive(compression) {
        CompressionMethod::None => 1,
        CompressionMethod::LZW => 4096,
        CompressionMethod::Deflate | CompressionMethod::OldDeflate => 1040,
        CompressionMethod::PackBits => 64,
        other => {
            return unsupported(format!(
                "compression {other:?}: expected none, PackBits, LZW or deflate"
            ));
        }
    };
    let counts = match decoder.get_chunk_type() {
        ChunkType::Strip => Tag::StripByteCounts,
        ChunkType::Tile => Tag::TileByteCounts,
    };
    let counts = decoder.get_tag_u64_vec(counts).map_err(damaged)?;
    let stored = counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
    let format =
        |message: String| Err(Error::format(source.path(), format!("page {index}: {message}")));
    let Some(stored) = stored.filter(|&stored| stored <= source.len()) else {
        let len = source.len();
        return format(format!("strips of {counts:?} bytes, the file has {len}"));
    };
    let needed = dtype.row_bytes(u64::from(width)).and_then(|n| n.checked_mul(u64::from(height)));
    if needed.is_none_or(|needed| needed > stored.saturating_mul(expansion)) {
        return format(format!("{height} x {width} voxels ({dtype}) cannot be in {stored} bytes"));
    }
    // A tile is as large at the image's edge as elsewhere.
    let (tile_width, tile_height) = decoder.chunk_dimensions();
    let tile = dtype
        .row_bytes(u64::from(tile_width))
        .and_then(|n| n.checked_mul(u64::from(tile_height)))
        .filter(|_| decoder.get_chunk_type() == ChunkType::Tile);
    if tile.is_some_and(|tile| tile > stored.saturating_mul(expansion)) {
        return format(format!(
            "tiles of {tile_height} x {tile_width} voxels ({dtype}) cannot be in {stored} bytes"
        ));
    }
    Ok(Page { height: height as usize, width: width as usize, dtype })
}

/// The description of the current page, empty if there is none. Letters beyond ASCII may be in any encoding.
fn first_description(decoder: &mut Decoder<SourceReader>) -> Result<String, TiffError> {
    match decoder.find_tag(Tag::ImageDescription)? {
        Some(Value::Ascii(text)) => Ok(text),
        Some(value) => match value.into_u8_vec() {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => Ok(String::new()),
        },
        None => Ok(String::new()),
    }
}

/// Pixels per unit along x and y; what is no number is unknown.
fn resolution(decoder: &mut Decoder<SourceReader>) -> Option<[f64; 2]> {
    let mut number = |tag| match decoder.find_tag(tag) {
        Ok(Some(Value::Rational(pixels, units))) if pixels > 0 && units > 0 => {
            Some(f64::from(pixels) / f64::from(units))
        }
        _ => None,
    };
    Some([number(Tag::XResolution)?, number(Tag::YResolution)?])
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

fn damaged(source: &Source, page: usize, error: TiffError) -> Error {
    let path = source.path();
    match error {
        TiffError::IoError(error) => match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::format(path, format!("page {page}: {error}")),
        },
        TiffError::UnsupportedError(error) => {
            Error::new(ErrorKind::Unsupported, path, format!("page {page}: {error}"))
        }
        error => Error::format(path, format!("page {page}: {error}")),
    }
}
