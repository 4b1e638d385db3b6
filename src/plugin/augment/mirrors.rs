//! Mirror images: what keeps the missing wedge in place.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::{
    allocation,
    error::{Error, Result},
};

/// The mirror images of a box along d, h, w: itself and the three rotations by 180 degrees, then the same mirrored. All
/// of them keep the missing wedge in place.
pub const MIRROR_IMAGES: [[bool; 3]; 8] = [
    [false, false, false],
    [false, true, true],
    [true, false, true],
    [true, true, false],
    [true, true, true],
    [true, false, false],
    [false, true, false],
    [false, false, true],
];

/// Which axes of each subtomogram are mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// Along d, h, w, one entry a subtomogram.
    pub flags: Vec<[bool; 3]>,
}

impl Mirrors {
    /// The axes of a subtomogram, each with probability 1/2.
    pub fn draw(generator: &mut ChaCha8Rng) -> [bool; 3] {
        [(); 3].map(|()| generator.random())
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
            let group = usize::from(d) | usize::from(h) << 1 | usize::from(w) << 2;
            allocation::push(&mut groups[group], row as i64)?;
        }
        let device = subtomograms.device();
        let mut flipped = Vec::new();
        for (combination, rows) in groups.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let axes: Vec<i64> = (0..3).filter(|axis| combination >> axis & 1 == 1).collect();
            let axes: Vec<i64> = axes.iter().map(|axis| axis + 2).collect();
            let rows = Tensor::f_from_slice(rows)?.f_to_device(device)?;
            flipped.push(subtomograms.f_index_select(0, &rows)?.f_flip(&axes)?);
        }
        let mut place = allocation::filled(self.flags.len(), 0i64)?;
        for (new, &old) in groups.iter().flatten().enumerate() {
            place[old as usize] = new as i64;
        }
        let place = Tensor::f_from_slice(&place)?.f_to_device(device)?;
        Ok(Tensor::f_cat(&flipped, 0)?.f_index_select(0, &place)?)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use tch::{Device, Kind};

    use super::*;

    /// All eight combinations, several times and out of order, against indices turned by hand.
    #[test]
    fn each_subtomogram_gets_its_own_mirrors() {
        let [d, h, w] = [2i64, 3, 4];
        let flags: Vec<[bool; 3]> =
            (0..20).map(|i| [0, 1, 2].map(|axis| (i * 5 + 3) >> axis & 1 == 1)).collect();
        let n = flags.len() as i64;
        let input = Tensor::arange(n * d * h * w, (Kind::Float, Device::Cpu));
        let input = input.reshape([n, 1, d, h, w]);
        let output = Mirrors { flags: flags.clone() }.apply(&input).unwrap();
        assert_eq!(output.size(), input.size());
        let output = Vec::<f32>::try_from(&output.reshape([-1])).unwrap();
        let turned = |mirrored: bool, i: i64, n: i64| if mirrored { n - 1 - i } else { i };
        let mut found = output.into_iter();
        for (box_index, flags) in (0..).zip(&flags) {
            for (z, y, x) in (0..d * h * w).map(|i| (i / (h * w), i / w % h, i % w)) {
                let (z, y) = (turned(flags[0], z, d), turned(flags[1], y, h));
                let expected = ((box_index * d + z) * h + y) * w + turned(flags[2], x, w);
                assert_eq!(found.next(), Some(expected as f32), "box {box_index}, {flags:?}");
            }
        }
    }

    #[test]
    fn nothing_is_mirrored_unless_asked_for() {
        let none = Mirrors { flags: vec![[false; 3]; 3] };
        let input = Tensor::arange(24, (Kind::Float, Device::Cpu)).reshape([3, 1, 2, 2, 2]);
        assert_eq!(none.apply(&input).unwrap(), input);
        assert!(none.apply(&input.narrow(0, 0, 2)).is_err());
    }

    /// Half of the flags of each axis, within five standard deviations, and every combination.
    #[test]
    fn mirrors_are_even() {
        let n = 4000;
        let draw = || {
            let mut generator = ChaCha8Rng::seed_from_u64(7);
            Mirrors { flags: (0..n).map(|_| Mirrors::draw(&mut generator)).collect() }
        };
        let mirrors = draw();
        let tolerance = 5.0 * (n as f64 / 4.0).sqrt();
        for axis in 0..3 {
            let count = mirrors.flags.iter().filter(|flags| flags[axis]).count();
            assert!((count as f64 - n as f64 / 2.0).abs() < tolerance, "axis {axis}: {count}");
        }
        let combinations: std::collections::HashSet<_> = mirrors.flags.iter().collect();
        assert_eq!(combinations.len(), 8);
        assert_eq!(mirrors, draw());
    }
}
