//! Ways to vary training subtomograms: parameters are drawn first, applied second, so that a run can be replayed.
//!
//! Everything but the drawing is tensor operations on a whole batch, on its device.

mod mirrors;
mod planar;
mod wedge;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, StandardNormal};
use serde::Serialize;
use tch::{Kind, Tensor};

pub use self::mirrors::{MIRROR_IMAGES, Mirrors};
use self::{
    planar::{Affine, Crop},
    wedge::Wedge,
};
use crate::{
    allocation::{collected, filled, room},
    error::{Error, Result},
};

/// Words of the C contract.
pub use cinetomo_abi::cinetomo_augment as Augmentation;

/// Standard deviation of the added noise, at most, as a part of the grey range. Empirical, benches/record/accuracy.md.
const NOISE: f64 = 0.1;

/// How far grey values are stretched and shifted, at most, as a part of the grey range.
const INTENSITY: f64 = 0.1;

/// Largest rotation in the plane of the sections that leaves the missing wedge about where it is, in degrees.
const SMALL_ROTATION: f64 = 10.0;

/// Both parameters of the Beta distribution of mixup: the middle of the range that its authors found good on images
/// (Zhang et al. 2018, 0.1 to 0.4).
const MIXUP: f64 = 0.2;

/// Which variations are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    bits: i32,
}

impl Augment {
    /// All variations, with the name of each in model files.
    const ALL: [(Augmentation, &'static str); 8] = [
        (Augmentation::Mirror, "mirror"),
        (Augmentation::Crop, "crop"),
        (Augmentation::Affine, "affine"),
        (Augmentation::Rotate, "rotate"),
        (Augmentation::Noise, "noise"),
        (Augmentation::Intensity, "intensity"),
        (Augmentation::Wedge, "wedge"),
        (Augmentation::Mixup, "mixup"),
    ];

    /// These variations.
    pub fn of(variations: &[Augmentation]) -> Augment {
        Augment { bits: variations.iter().fold(0, |bits, variation| bits | *variation as i32) }
    }

    /// From the sum of `CINETOMO_AUGMENT_*`. Fails with `InvalidArgument` if it has a bit of no meaning.
    pub fn from_bits(bits: i32) -> Result<Augment> {
        let known = Augment::of(&Augment::ALL.map(|(variation, _)| variation)).bits;
        let unknown = bits & !known;
        if unknown != 0 {
            let known: Vec<String> = Augment::ALL
                .iter()
                .map(|(bit, name)| format!("{} ({name})", *bit as i32))
                .collect();
            return Err(Error::invalid(format!(
                "augment {bits}: {unknown:#x} is no augmentation; 0 (none) and sums of {} are",
                known.join(", ")
            )));
        }
        Ok(Augment { bits })
    }

    /// The sum of `CINETOMO_AUGMENT_*`.
    pub fn bits(self) -> i32 {
        self.bits
    }

    /// Whether a variation is on.
    pub fn has(self, variation: Augmentation) -> bool {
        self.bits & variation as i32 != 0
    }

    /// The parameters for `n` subtomograms of `size` voxels along d, h, w.
    pub fn draw(self, n: usize, size: [i64; 3], generator: &mut ChaCha8Rng) -> Result<Variations> {
        let [_, height, width] = size;
        let mut each = |variation, draw: &mut dyn FnMut(&mut ChaCha8Rng)| {
            if self.has(variation) {
                (0..n).for_each(|_| draw(generator));
            }
        };
        let n_of = |variation| if self.has(variation) { n } else { 0 };
        let mut drawn = Variations {
            mirrors: filled(n, [false; 3])?,
            crops: room(n_of(Augmentation::Crop))?,
            affines: room(n_of(Augmentation::Affine))?,
            rotations: room(n_of(Augmentation::Rotate))?,
            wedges: room(n_of(Augmentation::Wedge))?,
            intensities: room(n_of(Augmentation::Intensity))?,
            noises: room(n_of(Augmentation::Noise))?,
            mixup: None,
        };
        let mut row = 0..n;
        each(Augmentation::Mirror, &mut |generator| {
            if let Some(row) = row.next() {
                drawn.mirrors[row] = Mirrors::draw(generator);
            }
        });
        each(Augmentation::Crop, &mut |g| drawn.crops.push(Crop::draw([height, width], g)));
        each(Augmentation::Affine, &mut |g| drawn.affines.push(Affine::draw([height, width], g)));
        each(Augmentation::Rotate, &mut |generator| {
            let angle = generator.random_range(-SMALL_ROTATION..=SMALL_ROTATION);
            drawn.rotations.push(Some(Affine::rotation(angle)));
        });
        each(Augmentation::Wedge, &mut |generator| drawn.wedges.push(Wedge::draw(generator)));
        each(Augmentation::Intensity, &mut |generator| {
            let mut part = || generator.random_range(-INTENSITY..=INTENSITY);
            drawn.intensities.push([1.0 + part(), part()]);
        });
        each(Augmentation::Noise, &mut |generator| {
            drawn.noises.push((generator.random_range(0.0..=NOISE), generator.next_u64()));
        });
        if self.has(Augmentation::Mixup) && n > 1 {
            drawn.mixup = Some(Mixup::draw(n, generator)?);
        }
        Ok(drawn)
    }
}

impl Serialize for Augment {
    /// The names of the variations that are on.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            Augment::ALL.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| name),
        )
    }
}

/// The parameters of the variations of a batch; a list is empty if its variation is off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variations {
    mirrors: Vec<[bool; 3]>,
    crops: Vec<Option<Crop>>,
    affines: Vec<Option<Affine>>,
    rotations: Vec<Option<Affine>>,
    wedges: Vec<Wedge>,
    /// Stretch about the middle of the grey range, and shift as a part of it.
    intensities: Vec<[f64; 2]>,
    /// Standard deviation as a part of the grey range, and seed.
    noises: Vec<(f64, u64)>,
    mixup: Option<Mixup>,
}

impl Variations {
    /// The subtomograms `[n, 1, d, h, w]` with grey values in `range`, varied. Voxels that come from outside a box are
    /// `range[0]`.
    ///
    /// In the order of the paper's code crop, then affine; what changes geometry comes before what an imaging process
    /// adds.
    pub fn apply(&self, subtomograms: &Tensor, range: [f64; 2]) -> Result<Tensor> {
        let flags = collected(self.mirrors.iter().copied())?;
        let mut x = Mirrors { flags }.apply(subtomograms)?;
        x = planar::crop(&x, &self.crops)?;
        x = planar::transform(&x, &self.affines, planar::Sampling::Nearest, range[0])?;
        x = planar::transform(&x, &self.rotations, planar::Sampling::Linear, range[0])?;
        x = wedge::apply(&x, &self.wedges)?;
        x = self.scale_intensities(&x, range)?;
        x = self.add_noise(&x, range)?;
        match &self.mixup {
            Some(mixup) => mixup.apply(&x),
            None => Ok(x),
        }
    }

    /// How the batch was mixed, if it was: the loss must be, too.
    pub fn into_mixup(self) -> Option<Mixup> {
        self.mixup
    }

    fn scale_intensities(&self, x: &Tensor, [low, high]: [f64; 2]) -> Result<Tensor> {
        if self.intensities.is_empty() {
            return Ok(x.shallow_clone());
        }
        let middle = 0.5 * (low + high);
        let stretch = collected(self.intensities.iter().map(|[stretch, _]| *stretch as f32))?;
        let shift = |[stretch, shift]: &[f64; 2]| middle * (1.0 - stretch) + shift * (high - low);
        let shift = collected(self.intensities.iter().map(|drawn| shift(drawn) as f32))?;
        Ok(x.f_mul(&per_box(&stretch, x)?)?.f_add(&per_box(&shift, x)?)?)
    }

    fn add_noise(&self, x: &Tensor, [low, high]: [f64; 2]) -> Result<Tensor> {
        if self.noises.is_empty() {
            return Ok(x.shallow_clone());
        }
        let n_voxels = x.size()[1..].iter().product::<i64>() as usize;
        let mut noise: Vec<f32> = room(self.noises.len() * n_voxels)?;
        for (part, seed) in &self.noises {
            let deviation = (part * (high - low)) as f32;
            let generator = ChaCha8Rng::seed_from_u64(*seed);
            let normal = StandardNormal.sample_iter(generator).take(n_voxels);
            noise.extend(normal.map(|value: f32| value * deviation));
        }
        let noise = Tensor::f_from_slice(&noise)?.f_reshape(x.size())?.f_to_device(x.device())?;
        Ok(x.f_add(&noise)?)
    }
}

/// One number a subtomogram, `[n, 1, 1, 1, 1]`.
fn per_box(values: &[f32], like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_reshape([-1, 1, 1, 1, 1])?.f_to_device(like.device())?)
}

/// Each subtomogram mixed with another, and its loss with the other's (Zhang et al. 2018, "mixup: Beyond Empirical
/// Risk Minimization").
#[derive(Clone, Debug, PartialEq)]
pub struct Mixup {
    /// The other subtomogram of each.
    pub partners: Vec<i64>,
    /// Part of itself in each, 0 to 1.
    pub parts: Vec<f32>,
}

impl Mixup {
    fn draw(n: usize, generator: &mut impl Rng) -> Result<Mixup> {
        // A rotation of the batch, which is shuffled already: no subtomogram is its own partner.
        let step = generator.random_range(1..n);
        let partners = collected((0..n).map(|row| ((row + step) % n) as i64))?;
        let parts = match Beta::new(MIXUP, MIXUP) {
            Ok(beta) => collected((0..n).map(|_| beta.sample(generator) as f32))?,
            Err(_) => filled(n, 1.0)?,
        };
        Ok(Mixup { partners, parts })
    }

    /// The partners' rows of `x`.
    pub fn partners_of(&self, x: &Tensor) -> Result<Tensor> {
        let rows = Tensor::f_from_slice(&self.partners)?.f_to_device(x.device())?;
        Ok(x.f_index_select(0, &rows)?)
    }

    /// The part of itself in each row, `[n]`.
    pub fn parts_of(&self, x: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.parts)?.f_to_device(x.device())?.f_to_kind(Kind::Float)?)
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let partners = self.partners_of(x)?;
        let part = self.parts_of(x)?.f_reshape([-1, 1, 1, 1, 1])?;
        // partner + part * (x - partner)
        Ok(partners.f_lerp_tensor(x, &part)?)
    }
}

#[cfg(test)]
#[path = "augment_test.rs"]
mod augment_test;
