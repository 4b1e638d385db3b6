//! The 1024 bytes that an MRC file begins with.
//!
//! Cheng et al. 2015, "MRC2014: Extensions to the MRC format header for electron cryo-microscopy and tomography",
//! doi:10.1016/j.jsb.2015.04.002, and its page at CCP-EM. Offsets are in bytes, counted from 0.

use std::path::Path;

use crate::{
    dtype::{Dtype, Endian},
    error::{Error, ErrorKind, Result},
};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 1024;

/// The number at byte 152 by which IMOD marks its files: "IMOD".
const IMOD_STAMP: i32 = 1_146_047_817;

/// What the header says, as it says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Order of bytes in the header and the data.
    pub endian: Endian,
    /// NX, NY, NZ: columns, rows, sections; each at least 1.
    pub extents: [usize; 3],
    /// MODE: type of a voxel.
    pub mode: i32,
    /// MX, MY, MZ: intervals of the cell along x, y, z.
    pub intervals: [i32; 3],
    /// CELLA: edges of the cell along x, y, z in angstrom.
    pub cell: [f32; 3],
    /// MAPC, MAPR, MAPS: the axes of columns, rows, sections; 1 = x, 2 = y, 3 = z. A permutation.
    pub axes: [i32; 3],
    /// ISPG: 0 = images, 1 to 230 = a volume, 401 to 630 = a stack of volumes.
    pub space_group: i32,
    /// NSYMBT: bytes of the extended header between header and data.
    pub extended_bytes: u32,
    /// Flags of IMOD, in files that IMOD has stamped. Bit 0: bytes are signed.
    pub imod_flags: Option<i32>,
    /// The labels in use.
    pub labels: Vec<String>,
}

impl Header {
    /// Whether these first bytes of a file carry the marks of an MRC file: `MAP` at byte 208, or IMOD's stamp.
    pub fn recognizes(head: &[u8]) -> bool {
        let marked = |at: usize, mark: &[u8]| head.get(at..at + mark.len()) == Some(mark);
        let stamp = IMOD_STAMP.to_le_bytes();
        let stamp_big = IMOD_STAMP.to_be_bytes();
        head.len() >= HEADER_BYTES
            && (marked(208, b"MAP") || marked(152, &stamp) || marked(152, &stamp_big))
    }

    /// Reads a header; `path` names the file in messages. Files of before 2000 may lack `MAP` and the machine stamp:
    /// then the numbers must make sense in one order of bytes only.
    pub fn parse(head: &[u8], path: &Path) -> Result<Header> {
        let format = |message: String| Err(Error::format(path, message));
        let Some(head) = head.first_chunk::<HEADER_BYTES>() else {
            return format(format!("an MRC header has {HEADER_BYTES} bytes, found {}", head.len()));
        };
        let words = Words { head, endian: endian(head, path)? };
        let extents = words.ints(0);
        if extents.iter().any(|&extent| extent < 1) {
            return format(format!(
                "bytes 0 to 11: NX, NY, NZ are {extents:?}, expected 1 or more"
            ));
        }
        let intervals = words.ints(28);
        if intervals.iter().any(|&n| n < 0) {
            return format(format!(
                "bytes 28 to 39: MX, MY, MZ are {intervals:?}, expected 0 or more"
            ));
        }
        let cell = words.floats(40);
        if cell.iter().any(|edge| !(0.0..=f32::MAX).contains(edge)) {
            return format(format!(
                "bytes 40 to 51: CELLA is {cell:?}, expected numbers of angstrom, 0 for unknown"
            ));
        }
        let axes = match words.ints(64) {
            [0, 0, 0] => [1, 2, 3],
            axes => axes,
        };
        let mut sorted = axes;
        sorted.sort_unstable();
        if sorted != [1, 2, 3] {
            return format(format!(
                "bytes 64 to 75: MAPC, MAPR, MAPS are {axes:?}, expected 1, 2, 3 in some order"
            ));
        }
        let extended_bytes = words.int(92);
        let Ok(extended_bytes) = u32::try_from(extended_bytes) else {
            return format(format!("byte 92: NSYMBT is {extended_bytes}, expected 0 or more"));
        };
        let n_labels = words.int(220).clamp(0, 10) as usize;
        let labels = head[224..].chunks_exact(80).take(n_labels);
        Ok(Header {
            endian: words.endian,
            // None is negative.
            extents: extents.map(|extent| extent as usize),
            mode: words.int(12),
            intervals,
            cell,
            axes,
            space_group: words.int(88),
            extended_bytes,
            imod_flags: (words.int(152) == IMOD_STAMP).then(|| words.int(156)),
            labels: labels
                .map(|label| {
                    let text = String::from_utf8_lossy(label);
                    text.trim_end_matches(['\0', ' ']).to_owned()
                })
                .collect(),
        })
    }

    /// The byte of the file that the data begins at.
    pub fn data_start(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.extended_bytes)
    }

    /// Type of the voxels. `signed` says what bytes are; by default IMOD's flag does, and without it they are signed.
    pub(super) fn dtype(&self, signed: Option<bool>, path: &Path) -> Result<Dtype> {
        let unsupported = |what: &str| Err(Error::new(ErrorKind::Unsupported, path, what));
        let signed = signed.unwrap_or_else(|| self.imod_flags.is_none_or(|flags| flags & 1 == 1));
        match self.mode {
            0 if signed => Ok(Dtype::I8),
            0 => Ok(Dtype::U8),
            1 => Ok(Dtype::I16),
            2 => Ok(Dtype::F32),
            6 => Ok(Dtype::U16),
            12 => Ok(Dtype::F16),
            101 => Ok(Dtype::U4),
            3 | 4 => unsupported("MODE 3 and 4 are Fourier transforms; transform back to a volume"),
            16 => unsupported("MODE 16 is a colour image; convert it to grey"),
            mode => Err(Error::format(
                path,
                format!("byte 12: MODE is {mode}, expected 0, 1, 2, 6, 12 or 101"),
            )),
        }
    }

    /// Edge of a voxel along z, y, x in angstrom; 0 = unknown.
    pub fn voxel_sizes(&self) -> [f64; 3] {
        [2, 1, 0].map(|axis| match self.intervals[axis] {
            0 => 0.0,
            n => f64::from(self.cell[axis]) / f64::from(n),
        })
    }
}

/// Numbers of a header.
struct Words<'a> {
    head: &'a [u8; HEADER_BYTES],
    endian: Endian,
}

impl Words<'_> {
    fn bytes(&self, at: usize) -> [u8; 4] {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.head[at..at + 4]);
        if self.endian == Endian::Big {
            bytes.reverse();
        }
        bytes
    }

    fn int(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.bytes(at))
    }

    fn ints(&self, at: usize) -> [i32; 3] {
        [0, 4, 8].map(|offset| self.int(at + offset))
    }

    fn floats(&self, at: usize) -> [f32; 3] {
        [0, 4, 8].map(|offset| f32::from_le_bytes(self.bytes(at + offset)))
    }

    /// Whether extents and mode are such as a file could have. In the other order of bytes they are not, except
    /// where an extent is a multiple of 2^16 or a mode is 0 and an extent is beyond any microscope's.
    fn plausible(&self) -> bool {
        let mode = self.int(12);
        (0..=255).contains(&mode) && self.ints(0).iter().all(|extent| (1..1 << 24).contains(extent))
    }
}

/// Order of the bytes: what the machine stamp says and the numbers do not contradict.
fn endian(head: &[u8; HEADER_BYTES], path: &Path) -> Result<Endian> {
    let stamp = [head[212], head[213]];
    let plausible = |endian| Words { head, endian }.plausible();
    let (little, big) = (plausible(Endian::Little), plausible(Endian::Big));
    match stamp {
        [0x44, 0x44 | 0x41] if big && !little => Err(Error::format(
            path,
            "bytes 212 and 213: the machine stamp says little-endian, but the numbers make sense only as big-endian",
        )),
        [0x11, 0x11] if little && !big => Err(Error::format(
            path,
            "bytes 212 and 213: the machine stamp says big-endian, but the numbers make sense only as little-endian",
        )),
        [0x44, 0x44 | 0x41] => Ok(Endian::Little),
        [0x11, 0x11] => Ok(Endian::Big),
        _ if little && !big => Ok(Endian::Little),
        _ if big && !little => Ok(Endian::Big),
        _ => Err(Error::format(
            path,
            format!(
                "bytes 212 and 213: the machine stamp is {stamp:02x?}, expected 44 44, 44 41 or 11 11, and extents and \
                 mode make sense in {} of bytes",
                if little { "either order" } else { "no order" }
            ),
        )),
    }
}
