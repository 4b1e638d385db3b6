//! `cinetomo extract`: boxes around particles, from tomograms into a stack with its list.

use std::path::PathBuf;

use cinetomo_formats::mrc;
use clap::Args;
use ndarray::ArrayView3;
use serde_json::json;

use crate::{
    args::Global,
    console::Console,
    extraction::{BoxKind, ExtractArgs, for_boxes},
    failure::{Failure, Result},
    outputs,
    particle_table::{About, ParticleTable, Row, listed},
    particles::{Particles, PositionArgs},
    run_file::RunFile,
    session::Session,
    tomogram::{OpenTomogram, TomogramArgs},
};

const EXAMPLES: &str = "\
Writes a stack of boxes and, beside it, a list (.star) that names them with all that the particles' list said of them,
angles and scores included, and with their contrast if it is known: other commands then need no --contrast. The
particle lies on voxel N / 2 of its box, by a shift of a fraction of a voxel. Boxes of several tomograms stand in the
order of the tomograms. Boxes are cut out a few at a time: their voxels are never all in memory.

Positions: RELION's and pytom-match-pick's count voxels from 0, Dynamo's and STOPGAP's from 1, RELION 5's angstrom from
the centre; a .csv has the columns z, y, x and maybe tomogram, from 0. RELION 4 and later count pixels of the tilt
series, whose size the list says. If another list was made at another binning than the tomogram, say its voxel size
with --position-voxel-size.

Shifts that a refinement found are applied: position - rlnOrigin... (pixels of the image, or angstrom where the label
ends in Angst), position + x_shift (STOPGAP) or dx (Dynamo). The new list then has the new positions and no shifts.
--ignore-shifts takes positions as they stand and carries the shifts over.

Examples:
  cinetomo extract -i tomogram.mrc --particles picks.star -o boxes.mrcs
  cinetomo extract -i tomogram.mrc --contrast dark --particles refined.star --box-size 48 \\
      --box-voxel-size 10 --box-contrast bright --edge skip -o boxes.mrcs
  cinetomo extract -i tomograms/*.mrc --particles all.star -o boxes.mrcs     # by the names in the list
  cinetomo extract --particles picks.star -o boxes.mrcs                      # tomograms as the list names them";

/// Extracts boxes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Extract {
    /// Tomograms; by default those that the list names
    #[arg(long, short, value_name = "FILE", num_args = 1..)]
    input: Vec<PathBuf>,
    /// Particles with positions: .star, .tbl, .csv
    #[arg(long, short, value_name = "LIST")]
    particles: PathBuf,
    #[command(flatten)]
    positions: PositionArgs,
    /// The stack of boxes (MRC); its list goes beside it, with the extension .star
    #[arg(long, short, value_name = "FILE.mrcs")]
    output: PathBuf,
    #[command(flatten)]
    tomogram: TomogramArgs,
    #[command(flatten)]
    boxes: ExtractArgs,
}

impl Extract {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        let list_path = outputs::beside(&self.output, "star");
        outputs::check([self.output.as_path(), &list_path], global.force)?;
        let session = Session::start(global, console)?;
        let particles = Particles::read(&self.particles, &self.positions, console)?;
        let mut tomograms = Vec::new();
        for (path, indices) in particles.by_tomogram(&self.input, console)? {
            let tomogram = OpenTomogram::open(&path, &self.tomogram, console)?;
            tomograms.push((path, tomogram, indices));
        }
        let options = self.boxes.options(&session)?;
        let kind = common_kind(
            tomograms
                .iter()
                .map(|(_, tomogram, _)| (tomogram.name(), BoxKind::of(&options, tomogram))),
        )?;

        let about = About {
            voxel_size: kind.voxel_size,
            box_size: Some(kind.edge),
            contrast: kind.contrast,
            others: [particles.labels().to_vec(), Vec::new()],
            ..About::default()
        };
        let mut stack = mrc::Writer::create(&self.output, [kind.edge; 3], kind.voxel_size)?;
        let mut list = ParticleTable::create(&list_path, &about)?;
        let stack_name = listed(&self.output);
        let mut n = 0;
        for (number, (path, tomogram, indices)) in (1..).zip(&tomograms) {
            let positions = particles.positions(indices, tomogram, console)?;
            let name = listed(path);
            let found = |_: &_, of_chunk: &[usize], voxels: &[f32]| {
                for (&index, voxels) in of_chunk.iter().zip(voxels.chunks(kind.edge.pow(3))) {
                    let view = ArrayView3::from_shape([kind.edge; 3], voxels)
                        .map_err(|error| Failure::Error(format!("box {n}: {error}")))?;
                    stack.push(view)?;
                    n += 1;
                    list.push(&Row {
                        tomogram: &name,
                        tomogram_number: number,
                        position: positions[index],
                        image: Some(&format!("{n:06}@{stack_name}")),
                        others: &particles.values(indices[index])?,
                        ..Row::default()
                    })?;
                }
                Ok(())
            };
            for_boxes(&session, tomogram, &positions, &options, "extracting", found)?;
        }
        if n == 0 {
            return Err(Failure::at(&self.particles, "no box is left to write"));
        }
        stack.finish()?;
        list.finish()?;
        run_file.write(&self.output)?;
        let n_particles: usize = tomograms.iter().map(|(.., indices)| indices.len()).sum();
        let text = format!(
            "{}: {n} boxes of {}^3 voxels of {} angstrom, of {n_particles} particles in {} tomograms\n{}: their list",
            self.output.display(),
            kind.edge,
            kind.voxel_size,
            tomograms.len(),
            list_path.display(),
        );
        let json = json!({
            "output": self.output, "list": list_path, "n": n, "n_particles": n_particles,
            "n_tomograms": tomograms.len(), "box_size": kind.edge, "voxel_size": kind.voxel_size,
        });
        console.result(&text, &json)
    }
}

/// The kind that the boxes of all tomograms are of.
fn common_kind<'a>(kinds: impl IntoIterator<Item = (&'a str, BoxKind)>) -> Result<BoxKind> {
    let mut kinds = kinds.into_iter();
    let Some((first, kind)) = kinds.next() else {
        return Err(Failure::Usage("no tomogram: name it with --input".to_owned()));
    };
    for (name, other) in kinds {
        if (other.voxel_size - kind.voxel_size).abs() > 1e-3 * kind.voxel_size {
            return Err(Failure::Error(format!(
                "{name}: voxels of {} angstrom; those of {first} have {}. Bring the boxes to one size with \
                 --box-voxel-size",
                other.voxel_size, kind.voxel_size
            )));
        }
    }
    Ok(kind)
}
