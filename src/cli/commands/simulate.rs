//! `cinetomo simulate`: labelled subtomograms or a tomogram, out of nothing, or out of densities.

mod densities;
mod physics;

use std::path::PathBuf;

use cinetomo_formats::{csv::TableWriter, mrc};
use cinetomo_host::{Hooks, abi::cinetomo_synthetic_options};
use clap::Args;
use ndarray::ArrayView3;
use serde_json::json;

use self::{
    densities::{Densities, DensityArgs},
    physics::PhysicsArgs,
};
use crate::{
    args::Global,
    console::Console,
    failure::{Failure, Result},
    interrupt, outputs,
    particle_table::{About, ParticleTable, Row, listed},
    run_file::RunFile,
    session::Session,
};

/// Voxels that are simulated at once: what is in memory, besides the plugin's own.
const CHUNK_VOXELS: usize = 16 << 20;

const EXAMPLES: &str = "\
Writes a stack of boxes (OUTPUT, MRC) and their labels beside it (.csv: path, label). With --tomogram, a tomogram and the
list of its particles (.star with rlnClassNumber, from 1 on in the order of the classes, and .csv with labels).

Examples:
  cinetomo simulate -o train.mrc --per-class 10                  # seven built-in phantoms
  cinetomo simulate -o test.mrc --per-class 20 --seed 1 --snr 0.05
  cinetomo simulate -o mine.mrc --density ribosome=4v6x.cif proteasome=emd_1234.map --voxel-size 10
  cinetomo simulate -o crowded.mrc --preset liu2020 --per-class 500     # as the paper's simulated data
  cinetomo simulate -o tomogram.mrc --tomogram 64 256 256 --per-class 20 --snr 0.5";

/// Simulates subtomograms, or a tomogram.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// The stack of boxes, or the tomogram; labels go beside it, with the extension .csv, and a tomogram's list, .star
    #[arg(long, short, value_name = "FILE.mrc")]
    output: PathBuf,
    /// Boxes or particles of each class
    #[arg(long, value_name = "N", default_value_t = 10)]
    per_class: usize,
    /// A tomogram of so many voxels instead of boxes
    #[arg(long, value_names = ["Z", "Y", "X"], num_args = 3)]
    tomogram: Vec<i64>,
    /// Seed: another one gives other orientations, places and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    densities: DensityArgs,
    #[command(flatten)]
    physics: PhysicsArgs,
}

impl Simulate {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        let labels_path = outputs::beside(&self.output, "csv");
        let list_path = outputs::beside(&self.output, "star");
        let list = (!self.tomogram.is_empty()).then_some(list_path.as_path());
        let all = [self.output.as_path(), &labels_path].into_iter().chain(list);
        outputs::check(all, global.force)?;
        if self.per_class == 0 {
            return Err(Failure::Usage("--per-class 0: expected at least 1".to_owned()));
        }
        let session = Session::start(global, console)?;
        let options = self.physics.options(&session)?;
        let densities = self.densities.read(&session, &options)?;
        match self.tomogram[..] {
            [z, y, x] => self.tomogram(&session, &options, &densities, [z, y, x], run_file),
            _ => self.boxes(&session, &options, &densities, run_file),
        }
    }

    fn boxes(
        &self,
        session: &Session,
        options: &cinetomo_synthetic_options,
        densities: &Densities,
        run_file: &RunFile,
    ) -> Result<()> {
        let n_classes = densities.names.len();
        let n = n_classes * self.per_class;
        let labels_path = outputs::beside(&self.output, "csv");
        // The plugin refuses what is not positive.
        let edge = usize::try_from(options.box_size).unwrap_or(0);
        let mut boxes = mrc::Writer::create(&self.output, [edge; 3], options.voxel_size)?;
        let mut labels = TableWriter::create(&labels_path, &["path", "label"])?;
        let stack = self.output.file_name().unwrap_or_default().to_string_lossy();
        let volume = densities.volume(options.voxel_size)?;
        let step = (CHUNK_VOXELS / edge.pow(3)).max(1);
        let mut bar = session.console.bar("simulating");
        for (chunk, start) in (0..n).step_by(step).enumerate() {
            let end = (start + step).min(n);
            bar.part(start, end, n);
            let of_chunk: Vec<i32> =
                (start..end).map(|index| densities.indices[index % n_classes]).collect();
            let options = cinetomo_synthetic_options {
                seed: chunk_seed(self.seed, chunk as u64),
                ..*options
            };
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
        session.console.result(&text, &json)
    }

    fn tomogram(
        &self,
        session: &Session,
        options: &cinetomo_synthetic_options,
        densities: &Densities,
        shape: [i64; 3],
        run_file: &RunFile,
    ) -> Result<()> {
        let n_classes = densities.names.len();
        let n = n_classes * self.per_class;
        let options = cinetomo_synthetic_options { seed: self.seed, ..*options };
        let classes: Vec<usize> = (0..n).map(|index| index % n_classes).collect();
        let labels: Vec<i32> = classes.iter().map(|&class| densities.indices[class]).collect();
        let volume = densities.volume(options.voxel_size)?;
        let bar = session.console.bar("simulating");
        let (voxels, particles) = session.call(&bar, |hooks: Hooks<'_>| {
            let simulator = session.context.synthetic()?;
            simulator.simulate_tomogram(volume.as_ref(), &labels, shape, &options, hooks)
        })?;
        drop(bar);
        // The plugin refuses what is not positive.
        let extents = shape.map(|extent| usize::try_from(extent).unwrap_or(0));
        let view = ArrayView3::from_shape(extents, &voxels)
            .map_err(|error| Failure::at(&self.output, error))?;
        let about = About { voxel_size: options.voxel_size, has_classes: true, ..About::default() };
        let lists = ["star", "csv"].map(|extension| outputs::beside(&self.output, extension));
        let name = listed(&self.output);
        for path in &lists {
            let mut list = ParticleTable::create(path, &about)?;
            for (particle, &class) in particles.iter().zip(&classes) {
                list.push(&Row {
                    tomogram: &name,
                    tomogram_number: 1,
                    position: particle.position.map(|along| along as f32),
                    // There are a handful of classes.
                    class: Some((class as u32 + 1, &densities.names[class])),
                    ..Row::default()
                })?;
            }
            list.finish()?;
        }
        mrc::write(&self.output, view, options.voxel_size)?;
        run_file.write(&self.output)?;
        let [z, y, x] = shape;
        let text = format!(
            "{}: {z} x {y} x {x} voxels (z, y, x) of {} angstrom, {} particles of each of {n_classes} classes: {}\n\
             {}, {}: where they are",
            self.output.display(),
            options.voxel_size,
            self.per_class,
            densities.names.join(", "),
            lists[0].display(),
            lists[1].display(),
        );
        let json = json!({
            "output": self.output, "lists": lists, "n": n, "class_names": densities.names,
            "shape": shape, "voxel_size": options.voxel_size,
            "snr": particles.first().map(|particle| particle.snr),
        });
        session.console.result(&text, &json)
    }
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
