//! `cinetomo simulate`: labelled subtomograms out of nothing, or out of densities.

use std::path::{Path, PathBuf};

use cinetomo_formats::{
    csv::TableWriter,
    mrc,
    structure::{self, DensityOptions, Structure},
    volumes,
};
use cinetomo_host::{
    Hooks, Volume,
    abi::{cinetomo_contrast, cinetomo_synthetic_options},
};
use clap::Args;
use ndarray::{Array3, ArrayView3, Slice};
use serde_json::json;

use crate::{
    args::Global,
    boxes::Contrast,
    console::Console,
    failure::{Failure, Result},
    interrupt, outputs,
    run_file::RunFile,
    session::Session,
};

/// Voxels that are simulated at once: what is in memory, besides the plugin's own.
const CHUNK_VOXELS: usize = 16 << 20;

const EXAMPLES: &str = "\
Writes a stack of boxes (OUTPUT, MRC) and their labels beside it (.csv: path, label).

Examples:
  cinetomo simulate -o train.mrc --per-class 10                  # seven built-in phantoms
  cinetomo simulate -o test.mrc --per-class 20 --seed 1 --snr 0.05
  cinetomo simulate -o mine.mrc --density ribosome=4v6x.cif proteasome=emd_1234.map --voxel-size 10";

/// Simulates subtomograms.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// The stack of boxes; labels go beside it, with the extension .csv
    #[arg(long, short, value_name = "FILE.mrc")]
    output: PathBuf,
    /// Boxes of each class
    #[arg(long, value_name = "N", default_value_t = 10)]
    per_class: usize,
    /// Only these of the built-in phantoms; a wrong name lists them
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "density")]
    phantoms: Vec<String>,
    /// Densities instead of phantoms: atoms (.pdb, .cif) or a bright-on-dark map (.mrc ...) at the voxel size of the run
    #[arg(long, value_name = "NAME=FILE", num_args = 1..)]
    density: Vec<String>,
    /// Resolution of densities that are made of atoms, in angstrom [default: two voxels]
    #[arg(long, value_name = "ANGSTROM")]
    resolution: Option<f64>,
    /// Edge of a box in voxels [default: 32]
    #[arg(long, value_name = "N")]
    box_size: Option<i64>,
    /// Edge of a voxel in angstrom [default: 10]
    #[arg(long, value_name = "ANGSTROM")]
    voxel_size: Option<f64>,
    /// Variance of the signal over that of the noise; inf = no noise [default: 0.1]
    #[arg(long, value_name = "X")]
    snr: Option<f64>,
    /// The tilt series runs from minus to plus this angle, in degrees [default: 60]
    #[arg(long, value_name = "DEGREES")]
    tilt_range: Option<f64>,
    /// Largest shift from the centre along each axis, in voxels [default: 2]
    #[arg(long, value_name = "VOXELS")]
    max_shift: Option<f64>,
    /// Underfocus in micrometre; 0 = no contrast transfer function [default: 5]
    #[arg(long, value_name = "MICROMETRE")]
    defocus: Option<f64>,
    /// Acceleration voltage [default: 300]
    #[arg(long, value_name = "KILOVOLT")]
    voltage: Option<f64>,
    /// Spherical aberration [default: 2.7]
    #[arg(long, value_name = "MILLIMETRE")]
    spherical_aberration: Option<f64>,
    /// Particles against their surroundings: dark or bright
    #[arg(long, value_enum, default_value_t = Contrast::Dark)]
    contrast: Contrast,
    /// Seed: another one gives other orientations, places and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What boxes are made of.
struct Densities {
    names: Vec<String>,
    /// `[n, d, d, d]` and `d`; nothing for the built-in phantoms.
    cubes: Option<(Vec<f32>, usize)>,
    /// Which density each class is.
    indices: Vec<i32>,
}

impl Simulate {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        let labels_path = outputs::beside(&self.output, "csv");
        outputs::check([self.output.as_path(), &labels_path], global.force)?;
        if self.per_class == 0 {
            return Err(Failure::Usage("--per-class 0: expected at least 1".to_owned()));
        }
        let session = Session::start(global, console)?;
        let options = self.options(&session)?;
        let densities = self.densities(&session, &options)?;
        let n_classes = densities.names.len();
        let n = n_classes * self.per_class;

        let edge = options.box_size as usize;
        let mut boxes = mrc::Writer::create(&self.output, [edge; 3], options.voxel_size)?;
        let mut labels = TableWriter::create(&labels_path, &["path", "label"])?;
        let stack = self.output.file_name().unwrap_or_default().to_string_lossy();
        let volume = match &densities.cubes {
            None => None,
            Some((voxels, d)) => {
                let d = *d as i64;
                let shape = [n_classes as i64, d, d, d];
                Some(Volume::new(voxels, shape)?.voxel_size(options.voxel_size))
            }
        };
        let step = (CHUNK_VOXELS / edge.pow(3)).max(1);
        let mut bar = console.bar("simulating");
        for (chunk, start) in (0..n).step_by(step).enumerate() {
            let end = (start + step).min(n);
            bar.part(start, end, n);
            let of_chunk: Vec<i32> =
                (start..end).map(|index| densities.indices[index % n_classes]).collect();
            let options =
                cinetomo_synthetic_options { seed: chunk_seed(self.seed, chunk as u64), ..options };
            let voxels = session.call(&bar, |hooks: Hooks<'_>| {
                session.context.synthetic()?.simulate(volume.as_ref(), &of_chunk, &options, hooks)
            })?;
            for (index, voxels) in (start..end).zip(voxels.chunks_exact(edge.pow(3))) {
                let view = ArrayView3::from_shape([edge; 3], voxels)
                    .map_err(|error| Failure::Error(format!("box {index}: {error}")))?;
                boxes.push(view)?;
                let name = &densities.names[index % n_classes];
                labels.push(&[&format!("{:06}@{stack}", index + 1), name])?;
            }
        }
        drop(bar);
        interrupt::check()?;
        boxes.finish()?;
        labels.finish()?;
        run_file.write(&self.output)?;
        let text = format!(
            "{}: {n} boxes of {edge}^3 voxels of {} angstrom, {} of each of {n_classes} classes: {}\n{}: their labels",
            self.output.display(),
            options.voxel_size,
            self.per_class,
            densities.names.join(", "),
            labels_path.display(),
        );
        let json = json!({
            "output": self.output, "labels": labels_path, "n": n, "class_names": densities.names,
            "box_size": edge, "voxel_size": options.voxel_size, "snr": options.snr,
        });
        console.result(&text, &json)
    }

    /// The plugin's defaults, changed as asked.
    fn options(&self, session: &Session) -> Result<cinetomo_synthetic_options> {
        let defaults = session.context.synthetic()?.options()?;
        Ok(cinetomo_synthetic_options {
            box_size: self.box_size.unwrap_or(defaults.box_size),
            voxel_size: self.voxel_size.unwrap_or(defaults.voxel_size),
            snr: self.snr.unwrap_or(defaults.snr),
            tilt_range: self.tilt_range.unwrap_or(defaults.tilt_range),
            max_shift: self.max_shift.unwrap_or(defaults.max_shift),
            defocus: self.defocus.unwrap_or(defaults.defocus),
            voltage: self.voltage.unwrap_or(defaults.voltage),
            spherical_aberration: self
                .spherical_aberration
                .unwrap_or(defaults.spherical_aberration),
            contrast: match self.contrast {
                Contrast::Bright => cinetomo_contrast::Bright,
                Contrast::Dark | Contrast::Unknown => cinetomo_contrast::Dark,
            } as i32,
            ..defaults
        })
    }

    fn densities(
        &self,
        session: &Session,
        options: &cinetomo_synthetic_options,
    ) -> Result<Densities> {
        if self.density.is_empty() {
            let known = session.context.synthetic()?.phantom_names();
            let names =
                if self.phantoms.is_empty() { known.clone() } else { self.phantoms.clone() };
            let index = |name: &String| {
                let index = known.iter().position(|other| other == name).ok_or_else(|| {
                    Failure::Usage(format!("no phantom {name}; there are {}", known.join(", ")))
                })?;
                // There are a handful.
                Ok(index as i32)
            };
            let indices = names.iter().map(index).collect::<Result<_>>()?;
            return Ok(Densities { names, cubes: None, indices });
        }
        let (mut names, mut read) = (Vec::new(), Vec::new());
        for stated in &self.density {
            let Some((name, path)) = stated.split_once('=').filter(|(name, _)| !name.is_empty())
            else {
                return Err(Failure::Usage(format!("--density {stated}: expected NAME=FILE")));
            };
            if names.iter().any(|other| other == name) {
                return Err(Failure::Usage(format!("--density: two are named {name}")));
            }
            names.push(name.to_owned());
            read.push(self.density_of(Path::new(path), options, &session.console)?);
        }
        let edge = read.iter().flat_map(|density| density.shape()).max().copied().unwrap_or(0);
        let mut voxels = Vec::with_capacity(names.len() * edge.pow(3));
        for density in &read {
            voxels.extend(centred(density, edge).iter());
        }
        let indices = (0..names.len() as i32).collect();
        Ok(Densities { names, cubes: Some((voxels, edge)), indices })
    }

    fn density_of(
        &self,
        path: &Path,
        options: &cinetomo_synthetic_options,
        console: &Console,
    ) -> Result<Array3<f32>> {
        let voxel_size = options.voxel_size;
        if ["pdb", "ent", "cif", "mmcif"].contains(&outputs::extension(path).as_str()) {
            let structure = Structure::read(path)?;
            for note in &structure.notes {
                console.warn(format!("{}: {note}", path.display()));
            }
            let resolution = self.resolution.unwrap_or(2.0 * voxel_size);
            let options = DensityOptions { box_size: None, voxel_size, resolution };
            return Ok(structure::density(&structure, &options)?.values);
        }
        let source = volumes::open(path)?;
        if source.n_volumes() != 1 {
            return Err(Failure::at(
                path,
                format!("{} volumes; expected one density", source.n_volumes()),
            ));
        }
        let stated = source.voxel_size();
        if stated == 0.0 {
            console.warn(format!(
                "{}: no voxel size; {voxel_size} angstrom are assumed",
                path.display()
            ));
        } else if (stated / voxel_size - 1.0).abs() > 0.01 {
            return Err(Failure::at(
                path,
                format!(
                    "voxels of {stated} angstrom, the run has {voxel_size} (--voxel-size): resample the map"
                ),
            ));
        }
        Ok(source.read(0)?)
    }
}

/// A density in the middle of a cube of zeros: voxel n / 2 goes to voxel `edge` / 2.
fn centred(density: &Array3<f32>, edge: usize) -> Array3<f32> {
    let mut cube = Array3::zeros([edge; 3]);
    let mut middle = cube.slice_each_axis_mut(|axis| {
        let n = density.len_of(axis.axis);
        let start = edge / 2 - n / 2;
        Slice::from(start..start + n)
    });
    middle.assign(density);
    cube
}

/// The seed of a chunk, far from those of neighbouring seeds: SplitMix64's mixing (Steele, Lea & Flood 2014) of the
/// chunk's number, added. The first chunk has the seed itself.
fn chunk_seed(seed: u64, chunk: u64) -> u64 {
    if chunk == 0 {
        return seed;
    }
    let mut mixed = chunk.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    seed.wrapping_add(mixed ^ (mixed >> 31))
}
