//! Writing MRC files: 32-bit floats, little-endian, axes x, y, z.

use std::path::Path;

use ndarray::ArrayView3;

use super::HEADER_BYTES;
use crate::{
    error::{Error, ErrorKind, Result},
    whole::Replacement,
};

/// ISPG of a volume without symmetry.
const VOLUME: i32 = 1;

/// ISPG of a stack of volumes without symmetry: that of a volume, plus 400.
const VOLUMES: i32 = 401;

/// NVERSION: ten times the year of the format, plus its revision. 1 is the one that has mode 12, as mrcfile writes it.
const VERSION: i32 = 20141;

/// Writes one volume, indexed z, y, x, with voxels of `voxel_size` angstrom (0 = unknown). A file that is there is
/// replaced as a whole, or stays as it is if anything fails.
pub fn write(path: impl AsRef<Path>, volume: ArrayView3<f32>, voxel_size: f64) -> Result<()> {
    let (z, y, x) = volume.dim();
    let mut writer = Writer::new(path.as_ref(), [z, y, x], voxel_size, VOLUME)?;
    writer.push(volume)?;
    writer.finish()
}

/// Writes a stack of volumes (space group 401) one by one. Nothing is at the path before `finish`, or what was there;
/// dropped before, the writer leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    file: Replacement,
    shape: [i32; 3],
    voxel_size: f64,
    space_group: i32,
    n: i32,
    statistics: Statistics,
}

impl Writer {
    /// Starts a stack of volumes of `shape` z, y, x, each extent 1 to 2^31 - 1, with voxels of `voxel_size` angstrom
    /// (0 = unknown).
    pub fn create(path: impl AsRef<Path>, shape: [usize; 3], voxel_size: f64) -> Result<Writer> {
        Writer::new(path.as_ref(), shape, voxel_size, VOLUMES)
    }

    fn new(path: &Path, shape: [usize; 3], voxel_size: f64, space_group: i32) -> Result<Writer> {
        let invalid = |message: String| Error::new(ErrorKind::Invalid, path, message);
        // The cell is stored as f32: what overflows it is no size of a voxel.
        if !(0.0..1e6).contains(&voxel_size) {
            let message = format!("voxel_size {voxel_size}: must be angstrom, or 0 for unknown");
            return Err(invalid(message));
        }
        let mut extents = [0; 3];
        for (extent, &given) in extents.iter_mut().zip(&shape) {
            *extent = i32::try_from(given).unwrap_or(0);
            if *extent < 1 {
                let limit = i32::MAX;
                return Err(invalid(format!("shape {shape:?}: extents must be 1 to {limit}")));
            }
        }
        let mut file = Replacement::create(path)?;
        file.append(&[0; HEADER_BYTES])?;
        let statistics = Statistics::default();
        Ok(Writer { file, shape: extents, voxel_size, space_group, n: 0, statistics })
    }

    /// Appends a volume, indexed z, y, x.
    pub fn push(&mut self, volume: ArrayView3<f32>) -> Result<()> {
        let invalid =
            |writer: &Writer, message| Error::new(ErrorKind::Invalid, writer.file.path(), message);
        let expected = self.shape.map(|extent| extent as usize);
        if volume.shape() != expected {
            let n = self.n;
            let message = format!("volume {n}: expected {expected:?}, found {:?}", volume.shape());
            return Err(invalid(self, message));
        }
        let n = self.n + 1;
        if self.shape[0].checked_mul(n).is_none() {
            return Err(invalid(self, format!("volume {n}: more sections than 2^31 - 1")));
        }
        let mut bytes = Vec::with_capacity(volume.dim().2 * 4);
        for row in volume.rows() {
            bytes.clear();
            bytes.extend(row.iter().flat_map(|voxel| voxel.to_le_bytes()));
            self.file.append(&bytes)?;
        }
        self.statistics.add(volume);
        self.n = n;
        Ok(())
    }

    /// Completes the file and puts it in its place. Fails if it has no volume.
    pub fn finish(mut self) -> Result<()> {
        if self.n == 0 {
            let message = "a stack needs at least one volume";
            return Err(Error::new(ErrorKind::Invalid, self.file.path(), message));
        }
        let header = self.header();
        self.file.write_at_start(&header)?;
        self.file.commit()
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let mut put = |at: usize, words: &[[u8; 4]]| {
            header[at..at + 4 * words.len()].copy_from_slice(words.as_flattened());
        };
        let int = i32::to_le_bytes;
        let float = |value: f64| (value as f32).to_le_bytes();
        let [z, y, x] = self.shape;
        put(0, &[int(x), int(y), int(z * self.n), int(2)]);
        put(28, &[int(x), int(y), int(z)]);
        put(40, &[x, y, z].map(|extent| float(f64::from(extent) * self.voxel_size)));
        put(52, &[float(90.0); 3]);
        put(64, &[int(1), int(2), int(3)]);
        let [lowest, highest, mean, rms] = self.statistics.words();
        put(76, &[float(lowest), float(highest), float(mean), int(self.space_group)]);
        put(108, &[int(VERSION)]);
        put(208, &[*b"MAP ", [0x44, 0x44, 0, 0], float(rms), int(1)]);
        let label = format!("{:80}", concat!("cinetomo ", env!("CARGO_PKG_VERSION")));
        header[224..304].copy_from_slice(&label.as_bytes()[..80]);
        header
    }
}

/// Lowest, highest, mean and standard deviation of all voxels so far. Volumes are joined as in Chan, Golub & LeVeque
/// 1983, "Algorithms for computing the sample variance", equation 2.1.
#[derive(Debug, Default)]
struct Statistics {
    n: f64,
    lowest: f64,
    highest: f64,
    mean: f64,
    squares: f64,
}

impl Statistics {
    fn add(&mut self, volume: ArrayView3<f32>) {
        let voxels = || volume.iter().map(|&voxel| f64::from(voxel));
        let n = volume.len() as f64;
        let mean = voxels().sum::<f64>() / n;
        let squares: f64 = voxels().map(|voxel| (voxel - mean).powi(2)).sum();
        let lowest = voxels().fold(f64::INFINITY, f64::min);
        let highest = voxels().fold(f64::NEG_INFINITY, f64::max);
        if self.n == 0.0 {
            *self = Statistics { n, lowest, highest, mean, squares };
            return;
        }
        let (total, difference) = (self.n + n, mean - self.mean);
        self.squares += squares + difference.powi(2) * self.n * n / total;
        self.mean += difference * n / total;
        self.lowest = self.lowest.min(lowest);
        self.highest = self.highest.max(highest);
        self.n = total;
    }

    /// As the header has them. Where a voxel is not finite they are marked as not determined: the highest below the
    /// lowest, the mean below both, the deviation negative.
    fn words(&self) -> [f64; 4] {
        if !self.squares.is_finite() {
            return [0.0, -1.0, -2.0, -1.0];
        }
        [self.lowest, self.highest, self.mean, (self.squares / self.n).sqrt()]
    }
}
