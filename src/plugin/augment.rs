//! Ways to vary training subtomograms: parameters are drawn first, applied second.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::error::{Error, Result};

/// Which variations are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// Each axis is mirrored with probability 1/2. Keeps the missing wedge in place.
    pub mirror: bool,
}

impl Augment {
    /// From the sum of `CINETOMO_AUGMENT_*`. Fails with `InvalidArgument` if it has a bit of no meaning.
    pub fn from_bits(bits: i32) -> Result<Augment> {
        const MIRROR: i32 = cinetomo_abi::cinetomo_augment::Mirror as i32;
        let unknown = bits & !MIRROR;
        if unknown != 0 {
            return Err(Error::invalid(format!(
                "augment {bits}: {unknown:#x} is no augmentation; 0 (none) and {MIRROR} (mirror) are"
            )));
        }
        Ok(Augment { mirror: bits & MIRROR != 0 })
    }

    /// The parameters for `n` subtomograms.
    pub fn draw(&self, n: usize, generator: &mut ChaCha8Rng) -> Mirrors {
        match self.mirror {
            true => Mirrors::draw(n, generator),
            false => Mirrors { flags: vec![[false; 3]; n] },
        }
    }
}

/// Which axes of each subtomogram are mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// Along d, h, w, one entry a subtomogram.
    pub flags: Vec<[bool; 3]>,
}

impl Mirrors {
    /// Each axis of `n` subtomograms with probability 1/2.
    pub fn draw(n: usize, generator: &mut ChaCha8Rng) -> Mirrors {
        Mirrors { flags: (0..n).map(|_| [(); 3].map(|()| generator.random())).collect() }
    }

    /// The subtomograms `[n, 1, d, h, w]`, mirrored, in their order. Fails unless there is one entry a subtomogram.
    pub fn apply(&self, subtomograms: &Tensor) -> Result<Tensor> {
        let n = subtomograms.size().first().copied().unwrap_or(0);
        if n != self.flags.len() as i64 {
            return Err(Error::invalid(format!(
                "{} mirror flags for {n} subtomograms",
                self.flags.len()
            )));
        }
        if self.flags.iter().all(|&flags| flags == [false; 3]) {
            return Ok(subtomograms.shallow_clone());
        }
        // One flip for each of the 8 combinations that occurs, then one gather that restores the order.
        let mut groups: [Vec<i64>; 8] = Default::default();
        for (row, &[d, h, w]) in self.flags.iter().enumerate() {
            groups[usize::from(d) | usize::from(h) << 1 | usize::from(w) << 2].push(row as i64);
        }
        let device = subtomograms.device();
        let mut flipped = Vec::new();
        for (combination, rows) in groups.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let axes: Vec<i64> = (0..3).filter(|axis| combination >> axis & 1 == 1).collect();
            let axes: Vec<i64> = axes.iter().map(|axis| axis + 2).collect();
            let rows = Tensor::f_from_slice(rows)?.f_to_device(device)?;
            flipped.push(subtomograms.f_index_select(0, &rows)?.f_flip(&axes)?);
        }
        let mut place = vec![0i64; self.flags.len()];
        for (new, &old) in groups.iter().flatten().enumerate() {
            place[old as usize] = new as i64;
        }
        let place = Tensor::f_from_slice(&place)?.f_to_device(device)?;
        Ok(Tensor::f_cat(&flipped, 0)?.f_index_select(0, &place)?)
    }
}
