//! Montages (`.png`): the slices of a cube side by side in one grey image, as AITom's `cub_img` lays them out and the
//! code around Jain, Li & Xu 2024 stores simulated (32^3) and real (28^3) subtomograms.
//!
//! Slices are separated by one pixel, `ceil(sqrt(n))` of them in a row, in rows from the top; so the image's width
//! tells n. They follow each other along the beam, so that here z is the beam.

use std::{io, io::BufReader, path::Path, sync::Arc};

use ndarray::{Array3, Slice};
use png::{BitDepth, ColorType, Decoder, DecodingError, Info};

use crate::{
    dtype::{self, Dtype, Endian},
    error::{Error, ErrorKind, Result},
    source::Source,
    volumes::VolumeSource,
    voxels,
};

/// Whether a file begins like a PNG image.
pub(crate) fn recognizes(head: &[u8]) -> bool {
    head.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// A cube from a montage. Opening reads all of it.
#[derive(Debug)]
pub struct Montage {
    source: Arc<Source>,
    dtype: Dtype,
    cube: Array3<f32>,
}

impl Montage {
    /// Opens a montage. Fails unless it is a grey image of 8 or 16 bits that a cube makes.
    pub fn open(path: impl AsRef<Path>) -> Result<Montage> {
        Montage::read(Arc::new(Source::open(path.as_ref())?))
    }

    /// The montage whose bytes these are; `path` names it in messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Montage> {
        Montage::read(Arc::new(Source::from_bytes(path, bytes)))
    }

    pub(crate) fn read(source: Arc<Source>) -> Result<Montage> {
        let damaged = |error| damaged(&source, error);
        let mut decoder = Decoder::new(BufReader::new(source.reader()));
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let info = decoder.read_header_info().map_err(damaged)?;
        let (width, height) = (info.width as usize, info.height as usize);
        let dtype = voxel_type(info, &source)?;
        let grid = Grid::new(width, height)
            .map_err(|message| Error::new(ErrorKind::Unsupported, source.path(), message))?;
        // Deflate makes at most 258 bytes of 2 bits.
        let n_bytes = dtype.row_bytes(info.width.into()).and_then(|n| n.checked_mul(height as u64));
        let most = source.len().saturating_mul(1040);
        let Some(n_bytes) = n_bytes.filter(|&n_bytes| n_bytes <= most) else {
            let len = source.len();
            let message = format!("{height} x {width} pixels cannot be in {len} bytes");
            return Err(Error::format(source.path(), message));
        };

        let mut pixels: Vec<u8> = voxels::zeros(&source, [1, 1, n_bytes as usize])?;
        let mut reader = decoder.read_info().map_err(damaged)?;
        reader.next_frame(&mut pixels).map_err(damaged)?;
        reader.finish().map_err(damaged)?;
        let pixel_bytes = n_bytes as usize / (width * height);
        let n = grid.box_size;
        let mut cube = Array3::zeros([n, n, n]);
        for (slice, mut image) in cube.outer_iter_mut().enumerate() {
            let [top, left] = grid.corner(slice);
            for (y, mut row) in image.outer_iter_mut().enumerate() {
                let first = ((top + y) * width + left) * pixel_bytes;
                let bytes = &pixels[first..first + n * pixel_bytes];
                // Rows of a fresh array are contiguous.
                if let Some(voxels) = row.as_slice_mut() {
                    dtype::decode(dtype, Endian::Big, bytes, 0, voxels);
                }
            }
        }
        Ok(Montage { source, dtype, cube })
    }
}

fn voxel_type(info: &Info, source: &Source) -> Result<Dtype> {
    match (info.color_type, info.bit_depth) {
        _ if info.interlaced || info.animation_control.is_some() => {
            let message = "an interlaced or animated image; expected a plain one";
            Err(Error::new(ErrorKind::Unsupported, source.path(), message))
        }
        (ColorType::Grayscale, BitDepth::Eight) => Ok(Dtype::U8),
        (ColorType::Grayscale, BitDepth::Sixteen) => Ok(Dtype::U16),
        (color, depth) => {
            let message = format!("{color:?} of {depth:?} bits, expected grey of 8 or 16");
            Err(Error::new(ErrorKind::Unsupported, source.path(), message))
        }
    }
}

/// Where the slices of a cube lie.
#[derive(Debug, PartialEq)]
struct Grid {
    box_size: usize,
    columns: usize,
}

impl Grid {
    /// The grid whose image has these extents: as wide as its columns, at least as high as its rows.
    fn new(width: usize, height: usize) -> Result<Grid, String> {
        let grid = |box_size: usize| {
            let root = box_size.isqrt();
            let columns = if root * root == box_size { root } else { root + 1 };
            Grid { box_size, columns }
        };
        // The width grows with n, and is at least n.
        let mut grids = (1..=width).map(grid).skip_while(|grid| grid.width() < width);
        let none = format!(
            "{height} x {width} pixels: expected ceil(sqrt(n)) tiles of n + 1 pixels in a row, such as 198 for n = 32"
        );
        let grid = grids.next().filter(|grid| grid.width() == width).ok_or(none)?;
        let (n, rows) = (grid.box_size, grid.box_size.div_ceil(grid.columns));
        if !height.is_multiple_of(n + 1) || height / (n + 1) < rows {
            let needed = rows * (n + 1);
            return Err(format!("{height} x {width} pixels: {n} slices need a height of {needed}"));
        }
        Ok(grid)
    }

    fn width(&self) -> usize {
        self.columns * (self.box_size + 1)
    }

    /// The uppermost row and the leftmost column of a slice.
    fn corner(&self, slice: usize) -> [usize; 2] {
        [slice / self.columns, slice % self.columns].map(|tile| tile * (self.box_size + 1))
    }
}

fn damaged(source: &Source, error: DecodingError) -> Error {
    let path = source.path();
    match error {
        DecodingError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::format(path, "PNG: the file is cut short")
        }
        DecodingError::IoError(error) => match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::format(path, format!("PNG: {error}")),
        },
        error => Error::format(path, format!("PNG: {error}")),
    }
}

impl VolumeSource for Montage {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn n_volumes(&self) -> usize {
        1
    }

    fn shape(&self) -> [usize; 3] {
        self.cube.dim().into()
    }

    fn voxel_size(&self) -> f64 {
        0.0
    }

    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn format(&self) -> String {
        "PNG, a montage of slices along the beam".to_owned()
    }

    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>> {
        voxels::check_block(&self.source, 1, self.shape(), index, start, size)?;
        let block = self.cube.slice_each_axis(|description| {
            let axis = description.axis.index();
            Slice::from(start[axis]..start[axis] + size[axis])
        });
        Ok(block.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Grid, Montage};

    fn png(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        let row = color.samples() * if depth == png::BitDepth::Sixteen { 2 } else { 1 };
        let pixels = vec![7; width as usize * height as usize * row];
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        bytes
    }

    #[test]
    fn the_papers_montages_are_recognized() {
        // 32 slices in 6 x 6 tiles of 33 pixels; 28 slices in 5 rows of 6 tiles of 29.
        assert_eq!(Grid::new(198, 198), Ok(Grid { box_size: 32, columns: 6 }));
        assert_eq!(Grid::new(174, 145), Ok(Grid { box_size: 28, columns: 6 }));
        assert_eq!(Grid::new(174, 174), Ok(Grid { box_size: 28, columns: 6 }));
        assert_eq!(Grid { box_size: 28, columns: 6 }.corner(27), [116, 87]);
        assert_eq!(Grid::new(2, 2), Ok(Grid { box_size: 1, columns: 1 }));
    }

    #[test]
    fn other_images_are_refused() {
        for (width, height) in [(0, 0), (199, 198), (174, 116), (174, 146), (1 << 31, 1)] {
            assert!(Grid::new(width, height).is_err(), "{width} x {height}");
        }
        let read = |bytes| Montage::from_bytes(Path::new("a.png"), bytes).unwrap_err().to_string();
        use png::{BitDepth, ColorType};
        let text = read(png(198, 198, ColorType::Rgb, BitDepth::Eight));
        assert!(text.contains("Rgb of Eight bits, expected grey of 8 or 16"), "{text}");
        let text = read(png(128, 128, ColorType::Grayscale, BitDepth::Eight));
        assert!(text.contains("128 x 128 pixels: expected ceil(sqrt(n)) tiles"), "{text}");
        let text = read(png(174, 116, ColorType::Grayscale, BitDepth::Sixteen));
        assert!(text.contains("28 slices need a height of 145"), "{text}");
        // A header that claims more than its bytes can hold.
        let mut bytes = png(198, 198, ColorType::Grayscale, BitDepth::Eight);
        bytes[20..24].copy_from_slice(&(33u32 << 20).to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let text = read(bytes);
        assert!(text.contains("34603008 x 198 pixels cannot be in"), "{text}");
    }
}
