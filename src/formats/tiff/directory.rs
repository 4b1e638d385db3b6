//! Directories of a TIFF file: what each page is and where its voxels lie (TIFF 6.0, and BigTIFF with wider numbers).

use std::{fmt, sync::Arc};

use super::chunk::{Compression, Predictor};
use crate::{
    dtype::{Dtype, Endian},
    error::{Error, ErrorKind, Result},
    source::Source,
    voxels,
};

const IMAGE_WIDTH: u16 = 256;
const IMAGE_LENGTH: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const IMAGE_DESCRIPTION: u16 = 270;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES_PER_PIXEL: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const STRIP_BYTE_COUNTS: u16 = 279;
const X_RESOLUTION: u16 = 282;
const Y_RESOLUTION: u16 = 283;
const PREDICTOR: u16 = 317;
const TILE_WIDTH: u16 = 322;
const TILE_LENGTH: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTE_COUNTS: u16 = 325;
const SAMPLE_FORMAT: u16 = 339;

/// A file of which the first bytes have been read.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub source: Arc<Source>,
    pub endian: Endian,
    /// Whether offsets have 64 bits.
    big: bool,
    /// Where the first directory lies.
    first: u64,
}

/// What a page is: pages of one file must not differ in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Image {
    pub height: usize,
    pub width: usize,
    pub dtype: Dtype,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} voxels ({})", self.height, self.width, self.dtype)
    }
}

/// A page: an image in chunks, which are strips or tiles, numbered by rows.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub image: Image,
    pub compression: Compression,
    pub predictor: Predictor,
    /// Rows and columns of a chunk. The last strip may have fewer rows; tiles are whole.
    pub chunk: [usize; 2],
    pub tiled: bool,
    pub offsets: Vec<u64>,
    pub counts: Vec<u64>,
}

/// A directory's entries, as they are in the file.
pub(super) struct Directory<'a> {
    container: &'a Container,
    entries: Vec<u8>,
    /// Where the next directory lies; 0 = this is the last.
    pub next: u64,
    /// Bytes that it and its values take.
    pub n_bytes: u64,
    index: usize,
}

impl Container {
    /// Reads the header.
    pub fn open(source: Arc<Source>) -> Result<Container> {
        let head = source.head(16)?;
        let endian = if head.starts_with(b"MM") { Endian::Big } else { Endian::Little };
        let number = |bytes: &[u8]| number(endian, bytes);
        let (big, first) = match (head.get(2..4).map(number), head.len()) {
            (Some(42), 8..) => (false, number(&head[4..8])),
            // Then the bytes of an offset, 8, and 0.
            (Some(43), 16) if number(&head[4..6]) == 8 && number(&head[6..8]) == 0 => {
                (true, number(&head[8..16]))
            }
            _ => return Err(Error::format(source.path(), "bytes 0 to 15: not a TIFF header")),
        };
        Ok(Container { source, endian, big, first })
    }

    /// Where the directory of every page lies. `look` is shown each.
    pub fn walk(&self, mut look: impl FnMut(&mut Directory) -> Result<()>) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        let mut offset = self.first;
        // A chain that comes back to itself reads more bytes than there are; so do directories that overlap.
        let mut budget = self.source.len().saturating_mul(2);
        while offset != 0 || pages.is_empty() {
            let mut directory = self.directory(offset, pages.len())?;
            look(&mut directory)?;
            pages.push(offset);
            offset = directory.next;
            budget = budget.checked_sub(directory.n_bytes).ok_or_else(|| {
                let n = pages.len();
                let message = format!("the directories of the first {n} pages overlap or go round");
                Error::format(self.source.path(), message)
            })?;
        }
        Ok(pages)
    }

    /// The directory of page `index`, which lies at byte `offset`.
    pub fn directory(&self, offset: u64, index: usize) -> Result<Directory<'_>> {
        let (count_bytes, entry_bytes, offset_bytes) =
            if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let mut bytes = [0; 8];
        self.source.read_at(offset, &mut bytes[..count_bytes])?;
        let n = number(self.endian, &bytes[..count_bytes]);
        let start = offset + count_bytes as u64;
        let end = n.checked_mul(entry_bytes).and_then(|n| n.checked_add(start));
        let Some(end) = end.filter(|&end| end <= self.source.len()) else {
            let message = format!("page {index}: byte {offset}: {n} entries, the file ends before");
            return Err(Error::format(self.source.path(), message));
        };
        let mut entries = voxels::zeros(&self.source, [1, 1, (end - start) as usize])?;
        self.source.read_at(start, &mut entries)?;
        self.source.read_at(end, &mut bytes[..offset_bytes])?;
        let next = number(self.endian, &bytes[..offset_bytes]);
        let n_bytes = end - offset + offset_bytes as u64;
        Ok(Directory { container: self, entries, next, n_bytes, index })
    }
}

/// An unsigned number of up to 8 bytes.
fn number(endian: Endian, bytes: &[u8]) -> u64 {
    let shift = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match endian {
        Endian::Big => bytes.iter().fold(0, shift),
        Endian::Little => bytes.iter().rev().fold(0, shift),
    }
}

/// Bytes of a value of each type: BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT, SLONG, SRATIONAL, FLOAT,
/// DOUBLE, IFD; LONG8, SLONG8, IFD8.
fn type_bytes(kind: u64) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

impl Directory<'_> {
    /// The type of a tag's values and their bytes, if it is there.
    fn value(&mut self, tag: u16) -> Result<Option<(u64, Vec<u8>)>> {
        let Container { source, endian, big, .. } = self.container;
        let (entry_bytes, count_bytes) = if *big { (20, 8) } else { (12, 4) };
        let mut entries = self.entries.chunks_exact(entry_bytes);
        let Some(entry) = entries.find(|entry| number(*endian, &entry[..2]) == u64::from(tag))
        else {
            return Ok(None);
        };
        let kind = number(*endian, &entry[2..4]);
        let (count, value) = entry[4..].split_at(count_bytes);
        let count = number(*endian, count);
        let n_bytes = type_bytes(kind).and_then(|n| n.checked_mul(count));
        let Some(n_bytes) = n_bytes.filter(|&n_bytes| n_bytes <= source.len()) else {
            let message = format!("tag {tag} has {count} values of type {kind}");
            return Err(self.format(message));
        };
        let mut bytes: Vec<u8> = voxels::zeros(source, [1, 1, n_bytes as usize])?;
        if bytes.len() <= value.len() {
            // It lies in place of its offset.
            bytes.copy_from_slice(&value[..n_bytes as usize]);
        } else {
            source.read_at(number(*endian, value), &mut bytes)?;
            self.n_bytes += n_bytes;
        }
        Ok(Some((kind, bytes)))
    }

    fn numbers(&mut self, tag: u16) -> Result<Option<Vec<u64>>> {
        let endian = self.container.endian;
        Ok(match self.value(tag)? {
            None => None,
            Some((kind @ (1 | 3 | 4 | 13 | 16 | 18), bytes)) => {
                let n = type_bytes(kind).unwrap_or(1) as usize;
                Some(bytes.chunks_exact(n).map(|bytes| number(endian, bytes)).collect())
            }
            Some((kind, _)) => {
                let message = format!("tag {tag} has type {kind}, expected unsigned integers");
                return Err(self.format(message));
            }
        })
    }

    fn one(&mut self, tag: u16, default: u64) -> Result<u64> {
        Ok(self.numbers(tag)?.and_then(|numbers| numbers.first().copied()).unwrap_or(default))
    }

    /// An extent, which must be there.
    fn extent(&mut self, tag: u16) -> Result<usize> {
        let extent = self.one(tag, 0)?;
        match u32::try_from(extent) {
            Ok(extent) if extent > 0 => Ok(extent as usize),
            _ => Err(self.format(format!("tag {tag}, an extent, is {extent}"))),
        }
    }

    /// The description, empty if there is none. Letters beyond ASCII may be of any encoding.
    pub fn description(&mut self) -> Result<String> {
        let Some((_, bytes)) = self.value(IMAGE_DESCRIPTION)? else {
            return Ok(String::new());
        };
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Pixels per unit along x and y, if they are numbers above 0.
    pub fn resolution(&mut self) -> Result<Option<[f64; 2]>> {
        let mut resolution = [0.0; 2];
        for (found, tag) in resolution.iter_mut().zip([X_RESOLUTION, Y_RESOLUTION]) {
            let Some((5, bytes)) = self.value(tag)? else {
                return Ok(None);
            };
            let Some((pixels, units)) = bytes.first_chunk::<8>().map(|bytes| bytes.split_at(4))
            else {
                return Ok(None);
            };
            let [pixels, units] = [pixels, units].map(|bytes| number(self.container.endian, bytes));
            if pixels == 0 || units == 0 {
                return Ok(None);
            }
            *found = pixels as f64 / units as f64;
        }
        Ok(Some(resolution))
    }

    /// The page. Fails if it is none that can be read, or if its voxels cannot be in the bytes that it claims.
    pub fn page(&mut self) -> Result<Page> {
        let (width, height) = (self.extent(IMAGE_WIDTH)?, self.extent(IMAGE_LENGTH)?);
        let samples = self.one(SAMPLES_PER_PIXEL, 1)?;
        let photometric = self.one(PHOTOMETRIC, 1)?;
        if samples != 1 || photometric != 1 {
            return Err(self.unsupported(format!(
                "{samples} samples a pixel, photometric interpretation {photometric}: expected grey (1 and 1); in \
                 ImageJ use the lookup table Grays, not inverted"
            )));
        }
        if self.one(FILL_ORDER, 1)? != 1 {
            return Err(self.unsupported("fill order 2 (reversed bits), expected 1".to_owned()));
        }
        let (bits, format) = (self.one(BITS_PER_SAMPLE, 1)?, self.one(SAMPLE_FORMAT, 1)?);
        let Some(dtype) = dtype(bits, format) else {
            return Err(self.unsupported(format!("{bits} bits a sample of format {format}")));
        };
        let compression = self.one(COMPRESSION, 1)?;
        let Some(compression) = Compression::of(compression) else {
            return Err(self.unsupported(format!(
                "compression {compression}, expected 1, 5, 8, 32773 or 32946 (none, LZW, deflate, PackBits)"
            )));
        };
        let predictor = self.one(PREDICTOR, 1)?;
        let Some(predictor) = Predictor::of(predictor, dtype, compression) else {
            return Err(self.unsupported(format!("predictor {predictor} with {dtype}")));
        };

        let tiled = self.numbers(TILE_OFFSETS)?.is_some();
        let (offsets, counts, chunk) = if tiled {
            let chunk = [self.extent(TILE_LENGTH)?, self.extent(TILE_WIDTH)?];
            (TILE_OFFSETS, TILE_BYTE_COUNTS, chunk)
        } else {
            let rows = self.one(ROWS_PER_STRIP, u64::MAX)?.clamp(1, height as u64);
            (STRIP_OFFSETS, STRIP_BYTE_COUNTS, [rows as usize, width])
        };
        let image = Image { height, width, dtype };
        let offsets = self.numbers(offsets)?.unwrap_or_default();
        let counts = self.numbers(counts)?.unwrap_or_default();
        let page = Page { image, compression, predictor, chunk, tiled, offsets, counts };
        self.check(&page)?;
        Ok(page)
    }

    /// Fails unless the page's chunks are in the file, as many as needed, and large enough for their voxels.
    fn check(&self, page: &Page) -> Result<()> {
        let Image { height, width, dtype } = page.image;
        let [rows, columns] = page.chunk;
        let expected = height.div_ceil(rows).checked_mul(width.div_ceil(columns));
        let (n_offsets, n_counts) = (page.offsets.len(), page.counts.len());
        if expected != Some(n_offsets) || n_offsets != n_counts {
            return Err(self.format(format!(
                "{height} x {width} voxels in chunks of {rows} x {columns}: found {n_offsets} offsets and {n_counts} \
                 sizes of chunks"
            )));
        }
        let len = self.container.source.len();
        for (index, (&offset, &count)) in page.offsets.iter().zip(&page.counts).enumerate() {
            let [rows, columns] = page.chunk_extents(index);
            let needed =
                dtype.row_bytes(columns as u64).and_then(|bytes| bytes.checked_mul(rows as u64));
            let expansion = page.compression.expansion();
            if needed.is_none_or(|needed| needed > count.saturating_mul(expansion)) {
                return Err(self.format(format!(
                    "chunk {index}: {rows} x {columns} voxels ({dtype}) cannot be in {count} bytes"
                )));
            }
            if offset.checked_add(count).is_none_or(|end| end > len) {
                return Err(self.format(format!(
                    "chunk {index}: {count} bytes from byte {offset} on, the file ends at byte {len}"
                )));
            }
        }
        Ok(())
    }

    fn format(&self, message: String) -> Error {
        let message = format!("page {}: {message}", self.index);
        Error::format(self.container.source.path(), message)
    }

    fn unsupported(&self, message: String) -> Error {
        let message = format!("page {}: {message}", self.index);
        Error::new(ErrorKind::Unsupported, self.container.source.path(), message)
    }
}

impl Page {
    /// Rows and columns of chunk `index`.
    pub fn chunk_extents(&self, index: usize) -> [usize; 2] {
        let [rows, columns] = self.chunk;
        // Strips are as wide as the page, so their number is their row; chunks are no more than the page needs.
        if self.tiled {
            [rows, columns]
        } else {
            [rows.min(self.image.height - index * rows), columns]
        }
    }

    /// The byte of the first voxel, if all lie one after another.
    pub fn contiguous(&self) -> Option<u64> {
        let chunks = || self.offsets.iter().zip(&self.counts);
        let next_to_each_other =
            chunks().zip(&self.offsets[1..]).all(|((offset, count), next)| offset + count == *next);
        let plain = self.compression == Compression::None && !self.tiled;
        // A strip that has more bytes than its rows need would move the next one's.
        let exact = self.counts.iter().enumerate().rev().skip(1).all(|(index, &count)| {
            let [rows, columns] = self.chunk_extents(index).map(|extent| extent as u64);
            self.image.dtype.row_bytes(columns).and_then(|n| n.checked_mul(rows)) == Some(count)
        });
        (plain && next_to_each_other && exact).then_some(self.offsets[0])
    }
}

fn dtype(bits: u64, format: u64) -> Option<Dtype> {
    Some(match (bits, format) {
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
        _ => return None,
    })
}
