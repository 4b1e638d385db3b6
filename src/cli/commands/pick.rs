//! `cinetomo pick`: particles in a tomogram.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    args::Global,
    console::Console,
    failure::Result,
    outputs,
    particle_table::{About, ParticleTable, Row, listed},
    picking::PickArgs,
    picture::{self, Ring},
    run_file::RunFile,
    session::Session,
    tomogram::{OpenTomogram, TomogramArgs},
};

/// Voxels of a ring's radius where the particles' diameter is not stated.
const USUAL_RADIUS: f32 = 8.0;

const EXAMPLES: &str = "\
Particles are extrema of a difference of two Gaussians, as in the paper's pipeline: blobs of about the stated diameter,
of any kind, and what looks like them; look at the picture, and let a model reject the rest (cinetomo tomogram).

Outputs, by their extension; several may be named. Positions are voxels, the centre of the first being 0:
  .star         as RELION 3.1 has it: rlnMicrographName, rlnCoordinateX, Y, Z, rlnAutopickFigureOfMerit
  .csv          tomogram, z, y, x, score
  .tbl          a Dynamo table; there the first voxel is 1
The tomogram is read block by block: it need not fit into memory.

Examples:
  cinetomo pick -i tomogram.mrc --contrast dark --diameter 250 -o picks.star --picture picks.png
  cinetomo pick -i tomogram.rec --contrast dark --diameter 120 --rule deviations --threshold 4 \\
      --min-distance 9 --border 16 -o picks.star picks.csv";

/// Picks particles.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Pick {
    /// The tomogram (.mrc .rec .map .em .tif .npy .npz)
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// What to write: .star, .csv, .tbl
    #[arg(long, short, value_name = "FILE", num_args = 1.., required = true)]
    output: Vec<PathBuf>,
    /// A picture of the central slices with rings around the particles that they cut: .png
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    tomogram: TomogramArgs,
    #[command(flatten)]
    picking: PickArgs,
}

impl Pick {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        let all = self.output.iter().chain(&self.picture).map(PathBuf::as_path);
        outputs::check(all, global.force)?;
        self.output.iter().try_for_each(|path| ParticleTable::check(path))?;
        self.picture.as_deref().map_or(Ok(()), picture::check)?;
        let session = Session::start(global, console)?;
        let tomogram = OpenTomogram::open(&self.input, &self.tomogram, console)?;
        let picks = self.picking.pick(&session, &tomogram)?;
        if picks.is_empty() {
            console.warn("no particles: try a lower --threshold, or --rule deviations");
        }
        let about =
            About { voxel_size: tomogram.voxel_size(), has_scores: true, ..About::default() };
        let name = listed(&self.input);
        for path in &self.output {
            let mut table = ParticleTable::create(path, &about)?;
            for pick in &picks {
                table.push(&Row {
                    tomogram: &name,
                    tomogram_number: 1,
                    position: pick.position,
                    score: Some(pick.score),
                    ..Row::default()
                })?;
            }
            table.finish()?;
            run_file.write(path)?;
        }
        if let Some(path) = &self.picture {
            let rings = picks.iter().map(|pick| Ring { position: pick.position, colour: 0 });
            let radius = radius(self.picking.diameter, tomogram.voxel_size());
            picture::write(path, &tomogram, &rings.collect::<Vec<_>>(), radius)?;
        }
        let scores = picks.first().zip(picks.last()).map(|(best, worst)| [best.score, worst.score]);
        let range = scores
            .map_or(String::new(), |[best, worst]| format!(", scores {best:.4} to {worst:.4}"));
        let text = format!("{}: {} particles{range}", tomogram.name(), picks.len());
        let json = json!({
            "output": self.output, "picture": self.picture, "n": picks.len(), "scores": scores,
        });
        console.result(&text, &json)
    }
}

/// Radius of rings in voxels.
pub fn radius(diameter: Option<f64>, voxel_size: f64) -> f32 {
    match diameter {
        Some(diameter) if voxel_size > 0.0 => (diameter / voxel_size / 2.0) as f32,
        _ => USUAL_RADIUS,
    }
}
