//! Voxels that lie in a file one after another, and the blocks that are read from them.

use std::{path::Path, sync::Arc};

use ndarray::Array3;

use crate::{
    dtype::{self, Dtype, Endian},
    error::{Error, ErrorKind, Result},
    source::{Packing, Source},
};

/// Bytes of a file that are held at once while a block is read, unless one row of the block is longer.
const CHUNK: u64 = 1 << 20;

/// How the voxels of one or more equal volumes lie in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Number of volumes, one after another.
    pub n: usize,
    /// Extents of a volume in the order of the file, slowest first.
    pub extents: [usize; 3],
    /// Which axis each of them is: 0 = z, 1 = y, 2 = x.
    pub axes: [usize; 3],
    /// Type of a voxel.
    pub dtype: Dtype,
    /// Order of its bytes.
    pub endian: Endian,
}

impl Grid {
    /// Volumes of `shape` z, y, x, with z slowest.
    pub fn zyx(n: usize, shape: [usize; 3], dtype: Dtype, endian: Endian) -> Grid {
        Grid { n, extents: shape, axes: [0, 1, 2], dtype, endian }
    }

    /// Extents z, y, x.
    pub fn shape(&self) -> [usize; 3] {
        self.from_file_order(self.extents)
    }

    /// Bytes of all voxels, or nothing if that is no number.
    pub fn bytes(&self) -> Option<u64> {
        self.volume_bytes()?.checked_mul(u64::try_from(self.n).ok()?)
    }

    fn volume_bytes(&self) -> Option<u64> {
        let [sections, rows, columns] = self.extents.map(|extent| extent as u64);
        self.dtype.row_bytes(columns)?.checked_mul(rows)?.checked_mul(sections)
    }

    fn to_file_order(self, zyx: [usize; 3]) -> [usize; 3] {
        self.axes.map(|axis| zyx[axis])
    }

    #[allow(clippy::wrong_self_convention, reason = "from the file's order")]
    fn from_file_order(&self, file: [usize; 3]) -> [usize; 3] {
        let mut zyx = [0; 3];
        for (&axis, value) in self.axes.iter().zip(file) {
            zyx[axis] = value;
        }
        zyx
    }
}

/// A [`Grid`] in a file that is known to hold all of it.
#[derive(Clone, Debug)]
pub(crate) struct Voxels {
    source: Arc<Source>,
    packing: Option<Packing>,
    start: u64,
    grid: Grid,
}

impl Voxels {
    /// The grid whose first voxel is at byte `start`. Fails if there is no voxel or the file ends before the last.
    pub fn new(source: Arc<Source>, start: u64, grid: Grid) -> Result<Voxels> {
        if end(&grid, start, source.path())? > source.len() {
            return Err(too_short_or_long(&source, start, &grid));
        }
        Ok(Voxels { source, packing: None, start, grid })
    }

    /// The grid that fills a file, packed or not, from behind its header to its end. `parse` says what the header, of
    /// at most `n` bytes, means: something for the caller, the grid, and the byte of its first voxel.
    pub fn of_file<T>(
        source: Arc<Source>,
        n: usize,
        parse: impl FnOnce(&[u8]) -> Result<(T, Grid, u64)>,
    ) -> Result<(T, Voxels)> {
        let packing = source.packing()?;
        let head = source.unpacked_head(packing, n)?;
        let (header, grid, start) = parse(&head)?;
        let expected = end(&grid, start, source.path())?;
        let source = match packing {
            Some(packing) => Arc::new(source.unpack(packing, expected)?),
            None => source,
        };
        if expected != source.len() {
            return Err(too_short_or_long(&source, start, &grid));
        }
        Ok((header, Voxels { source, packing, start, grid }))
    }

    /// How the file was packed, for people: empty if it was not.
    pub fn packed(&self) -> String {
        self.packing.map_or(String::new(), |packing| format!(", packed with {}", packing.name()))
    }

    /// What lies there.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The block of `size` from `start` on (both z, y, x) of the volume `index`, in memory z, y, x with x fastest.
    pub fn read_block(
        &self,
        index: usize,
        start: [usize; 3],
        size: [usize; 3],
    ) -> Result<Array3<f32>> {
        check_block(&self.source, self.grid.n, self.grid.shape(), index, start, size)?;
        let mut block: Vec<f32> = zeros(&self.source, size)?;
        self.read_rows(index, start, size, &mut block)?;
        // The sizes are those that the vector was made for.
        let block =
            Array3::from_shape_vec(self.grid.to_file_order(size), block).map_err(|error| {
                Error::new(ErrorKind::Invalid, self.source.path(), error.to_string())
            })?;
        Ok(to_zyx(block, &self.grid))
    }

    /// A block that lies within the volume, row by row as in the file, into `block`, which must have its size.
    pub fn read_rows(
        &self,
        index: usize,
        start: [usize; 3],
        size: [usize; 3],
        block: &mut [f32],
    ) -> Result<()> {
        let grid = &self.grid;
        let [first_section, first_row, first_column] = grid.to_file_order(start);
        let [n_sections, n_rows, n_columns] = grid.to_file_order(size);
        let [_, all_rows, all_columns] = grid.extents.map(|extent| extent as u64);

        // `new` has shown that the last byte of the grid is within the file, so no product below overflows.
        let bits = |n: u64| match grid.dtype {
            Dtype::U4 => n / 2,
            dtype => dtype.row_bytes(n).unwrap_or(0),
        };
        let row_bytes = grid.dtype.row_bytes(all_columns).unwrap_or(0);
        let section_bytes = row_bytes * all_rows;
        let skipped = bits(first_column as u64);
        let last = grid.dtype.row_bytes((first_column + n_columns) as u64).unwrap_or(0);
        let span = last - skipped;
        let rows_at_once = (1 + CHUNK.saturating_sub(span) / row_bytes).min(n_rows as u64) as usize;
        let chunk_bytes = span + (rows_at_once as u64 - 1) * row_bytes;
        let mut chunk: Vec<u8> = zeros(&self.source, [1, 1, chunk_bytes as usize])?;

        let volume = self.start + section_bytes * grid.extents[0] as u64 * index as u64;
        let mut rows = block.chunks_exact_mut(n_columns);
        for section in first_section..first_section + n_sections {
            for row in (first_row..first_row + n_rows).step_by(rows_at_once) {
                let n = rows_at_once.min(first_row + n_rows - row);
                let chunk = &mut chunk[..(span + (n as u64 - 1) * row_bytes) as usize];
                let position =
                    volume + section as u64 * section_bytes + row as u64 * row_bytes + skipped;
                self.source.read_at(position, chunk)?;
                for (bytes, voxels) in chunk.chunks(row_bytes as usize).zip(rows.by_ref().take(n)) {
                    let bytes = &bytes[..span as usize];
                    dtype::decode(grid.dtype, grid.endian, bytes, first_column % 2, voxels);
                }
            }
        }
        Ok(())
    }
}

/// The byte behind the last voxel of a grid. Fails if there is no voxel, or no such number.
pub(crate) fn end(grid: &Grid, start: u64, path: &Path) -> Result<u64> {
    let (n, shape) = (grid.n, grid.shape());
    if n == 0 || shape.contains(&0) {
        let message = format!("{n} volumes of {shape:?} voxels: nothing to read");
        return Err(Error::format(path, message));
    }
    grid.bytes().and_then(|bytes| bytes.checked_add(start)).ok_or_else(|| {
        let message = format!("{n} volumes of {shape:?} voxels are more than any file has");
        Error::format(path, message)
    })
}

fn too_short_or_long(source: &Source, start: u64, grid: &Grid) -> Error {
    let (n, shape, dtype) = (grid.n, grid.shape(), grid.dtype);
    // The caller has shown that the product is a number.
    let expected = grid.bytes().unwrap_or(0).saturating_add(start);
    let what = if n == 1 { String::new() } else { format!("{n} volumes of ") };
    let message = format!(
        "{what}{shape:?} voxels (z, y, x; {dtype}) from byte {start} on end at byte {expected}, the file at byte {}",
        source.len()
    );
    Error::format(source.path(), message)
}

/// Turns a block in the order of the file into one that is z, y, x in memory.
fn to_zyx(block: Array3<f32>, grid: &Grid) -> Array3<f32> {
    if grid.axes == [0, 1, 2] {
        return block;
    }
    // Axis a of the result is the file's axis at whose place `axes` has a.
    let order = grid.from_file_order([0, 1, 2]);
    block.permuted_axes(order).as_standard_layout().into_owned()
}

/// Fails unless the block lies within volume `index` of `n` volumes of `shape`.
pub(crate) fn check_block(
    source: &Source,
    n: usize,
    shape: [usize; 3],
    index: usize,
    start: [usize; 3],
    size: [usize; 3],
) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, source.path(), message));
    if index >= n {
        return invalid(format!("volume {index}: there are {n}, counted from 0"));
    }
    for axis in 0..3 {
        let fits = start[axis].checked_add(size[axis]).is_some_and(|end| end <= shape[axis]);
        if size[axis] == 0 || !fits {
            return invalid(format!(
                "a block of {size:?} voxels from {start:?} on (z, y, x) does not lie within {shape:?}"
            ));
        }
    }
    Ok(())
}

/// Zeros for a block of `size` in a checked volume, or an error rather than the end of the process.
pub(crate) fn zeros<T: Clone + Default>(source: &Source, size: [usize; 3]) -> Result<Vec<T>> {
    let mut block = Vec::new();
    let n = size.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    match n.map(|n| block.try_reserve_exact(n).map(|()| n)) {
        Some(Ok(n)) => block.resize(n, T::default()),
        _ => {
            let message = format!("not enough memory for a block of {size:?} voxels");
            return Err(Error::new(ErrorKind::Io, source.path(), message));
        }
    }
    Ok(block)
}
