//! `cinetomo tomogram`: from a tomogram to classified particles, in one go.

use std::path::PathBuf;

use cinetomo_host::{
    Model, ModelInfo, Volume,
    abi::{cinetomo_axis, cinetomo_contrast, cinetomo_extract_options},
};
use clap::Args;
use serde_json::json;

use super::pick::radius;
use crate::{
    args::Global,
    boxes::Axis,
    console::Console,
    extraction::{BoxKind, ExtractArgs, for_boxes},
    failure::{Failure, Result},
    outputs,
    particle_table::{About, ParticleTable, Row, listed},
    particles::{Particles, PositionArgs},
    picking::PickArgs,
    picture::{self, COLOURS, Ring, colour_of_class},
    predictions::{Counts, Selection, column_labels},
    run_file::RunFile,
    session::Session,
    tomogram::{OpenTomogram, TomogramArgs},
};

const EXAMPLES: &str = "\
Picks particles (or takes those of --particles), cuts out boxes at the voxel size and with the contrast that the model
was trained on, classifies them, and writes where they are and of which class. Boxes are never all in memory: it needs
no more for a million than for a thousand, but for 12 bytes a position. Refined shifts of --particles are applied, as
`cinetomo extract --help` says.

Outputs, by their extension; several may be named:
  .star         as of cinetomo pick, with rlnClassNumber (from 1 on, 0 = rejected), cinetomoProbability and
                cinetomoProbability_<class>
  .csv          tomogram, z, y, x, score, label, probability, probability_<class>
  .tbl          a Dynamo table with column 22 (class) set
In the picture each class has a colour of its own; rejected particles are yellow.

Examples:
  cinetomo tomogram -i tomogram.mrc --contrast dark --diameter 250 -m tuned.safetensors -o classes.star \\
      classes.csv --picture classes.png
  cinetomo tomogram -i tomogram.mrc --contrast dark --particles picks.star -m calibrated.safetensors \\
      --reject probability,distance --keep ribosome -o ribosomes.star";

/// Classifies the particles of a tomogram.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TomogramCommand {
    /// The tomogram (.mrc .rec .map .em .tif .npy .npz)
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    /// Particles with positions (.star, .tbl, .csv), instead of picking
    #[arg(long, short, value_name = "LIST")]
    particles: Option<PathBuf>,
    #[command(flatten)]
    positions: PositionArgs,
    /// What to write: .star, .csv, .tbl
    #[arg(long, short, value_name = "FILE", num_args = 1.., required = true)]
    output: Vec<PathBuf>,
    /// A picture of the central slices with rings around the particles that they cut: .png
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// The axis along the electron beam
    #[arg(long, value_enum, default_value_t = Axis::Z)]
    beam: Axis,
    #[command(flatten)]
    tomogram: TomogramArgs,
    #[command(flatten)]
    picking: PickArgs,
    #[command(flatten)]
    boxes: ExtractArgs,
}

/// Where particles are, and what is known of them.
struct Found {
    positions: Vec<[f32; 3]>,
    scores: Option<Vec<f32>>,
    list: Option<(Particles, Vec<usize>)>,
    /// Columns of the list that are carried over.
    carried: Vec<usize>,
}

impl TomogramCommand {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        let all = self.output.iter().chain(&self.picture).map(PathBuf::as_path);
        outputs::check(all, global.force)?;
        self.output.iter().try_for_each(|path| ParticleTable::check(path))?;
        self.picture.as_deref().map_or(Ok(()), picture::check)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        let info = model.info()?;
        self.selection.check(&info.class_names)?;
        let tomogram = OpenTomogram::open(&self.input, &self.tomogram, console)?;
        let options = self.options(&session, &info, &tomogram)?;
        let found = self.find(&session, &tomogram)?;
        let (counts, rings) =
            self.classify(&session, &model, &info, &tomogram, &options, &found)?;
        self.output.iter().try_for_each(|path| run_file.write(path))?;
        let mut text =
            format!("{}: {} particles\n{}", tomogram.name(), found.positions.len(), counts.table());
        if let Some(path) = &self.picture {
            let radius = radius(self.picking.diameter, tomogram.voxel_size());
            picture::write(path, &tomogram, &rings, radius)?;
            let names = counts.class_names.iter().enumerate();
            let legend =
                names.map(|(class, name)| format!("{name} {}", COLOURS[colour_of_class(class)].0));
            text += &format!("{}: {}", path.display(), legend.collect::<Vec<_>>().join(", "));
        }
        let json = json!({
            "output": self.output, "picture": self.picture, "n": found.positions.len(),
            "class_names": counts.class_names, "n_per_class": counts.n_per_class,
            "n_rejected": counts.n_rejected, "box_size": options.box_size,
            "box_voxel_size": BoxKind::of(&options, &tomogram).voxel_size,
        });
        console.result(&text, &json)
    }

    /// Boxes as the model was trained on, unless other ones are asked for.
    fn options(
        &self,
        session: &Session,
        info: &ModelInfo,
        tomogram: &OpenTomogram,
    ) -> Result<cinetomo_extract_options> {
        let mut options = self.boxes.options(session)?;
        let (trained, given) = (info.voxel_size, tomogram.voxel_size());
        let is_other = trained > 0.0 && given > 0.0 && (given / trained - 1.0).abs() > 1e-3;
        if options.voxel_size == 0.0 && is_other {
            options.voxel_size = trained;
            session.console.info(format!(
                "boxes are brought from {given} to {trained} angstrom, as the model was trained"
            ));
        }
        let unknown = cinetomo_contrast::Unknown as i32;
        let stated = tomogram.contrast().of_contract() as i32;
        if options.contrast == unknown && stated != unknown && info.contrast != unknown {
            options.contrast = info.contrast;
            if stated != info.contrast {
                session.console.info("boxes are inverted, as the model was trained");
            }
        }
        Ok(options)
    }

    fn find(&self, session: &Session, tomogram: &OpenTomogram) -> Result<Found> {
        let Some(path) = &self.particles else {
            if self.positions.position_voxel_size.is_some() || self.positions.ignore_shifts {
                let message = "--position-voxel-size and --ignore-shifts are about --particles";
                return Err(Failure::Usage(message.to_owned()));
            }
            let picks = self.picking.pick(session, tomogram)?;
            if picks.is_empty() {
                let message = "no particles: try a lower --threshold, or --rule deviations";
                session.console.warn(message);
            }
            let (positions, scores) =
                picks.into_iter().map(|pick| (pick.position, pick.score)).unzip();
            return Ok(Found { positions, scores: Some(scores), list: None, carried: Vec::new() });
        };
        let list = Particles::read(path, &self.positions, &session.console)?;
        let files = std::slice::from_ref(&self.input);
        let mut found = list.by_tomogram(files, &session.console)?;
        // One file was asked for.
        let indices = found.pop().map(|(_, indices)| indices).unwrap_or_default();
        let positions = list.positions(&indices, tomogram, &session.console)?;
        // What this run writes itself, or wrote in a run before.
        let is_ours = |label: &str| {
            ["rlnClassNumber", "label", "probability", "distance", "class"].contains(&label)
                || label.starts_with("cinetomo")
                || label.starts_with("probability_")
        };
        let carried = list.labels().iter().enumerate().filter(|(_, label)| !is_ours(label));
        let carried = carried.map(|(column, _)| column).collect();
        Ok(Found { positions, scores: None, list: Some((list, indices)), carried })
    }

    fn classify(
        &self,
        session: &Session,
        model: &Model,
        info: &ModelInfo,
        tomogram: &OpenTomogram,
        options: &cinetomo_extract_options,
        found: &Found,
    ) -> Result<(Counts, Vec<Ring>)> {
        let reject = self.selection.reject_rules(model, &self.model)?;
        let kind = BoxKind::of(options, tomogram);
        let [edge, n_classes] = [kind.edge, info.class_names.len()];
        let with_distances = self.selection.rejects_by_distance();
        let about = About {
            voxel_size: tomogram.voxel_size(),
            has_scores: found.scores.is_some(),
            has_classes: true,
            others: found.labels(&info.class_names, with_distances),
            ..About::default()
        };
        let create = |path: &PathBuf| ParticleTable::create(path, &about);
        let mut tables = self.output.iter().map(create).collect::<Result<Vec<_>>>()?;
        let mut counts = Counts::new(&info.class_names);
        let mut rings = Vec::new();
        let name = listed(&self.input);
        let beam = match self.beam {
            Axis::Z => cinetomo_axis::Z,
            Axis::Y => cinetomo_axis::Y,
            Axis::X => cinetomo_axis::X,
        };
        for_boxes(
            session,
            tomogram,
            &found.positions,
            options,
            "classifying",
            |bar, of_chunk, voxels| {
                // Extents of memory that exists fit into an i64.
                let [n, d] = [of_chunk.len(), edge].map(|extent| extent as i64);
                let volume = Volume::new(voxels, [n, d, d, d])?
                    .voxel_size(kind.voxel_size)
                    .contrast(kind.contrast.of_contract())
                    .beam_axis(beam);
                let predictions =
                    session.call(bar, |hooks| model.predict(&volume, reject, hooks))?;
                let rows = predictions.probabilities.chunks(n_classes).zip(&predictions.labels);
                for (row, (&index, (probabilities, &label))) in
                    of_chunk.iter().zip(rows).enumerate()
                {
                    // -1 = rejected.
                    let class = usize::try_from(label).ok();
                    counts.push(class, probabilities);
                    let position = found.positions[index];
                    if self.picture.is_some() {
                        rings.push(Ring { position, colour: class.map_or(0, colour_of_class) });
                    }
                    let highest = probabilities.iter().copied().fold(0.0, f32::max);
                    let class_name = class.map(|class| info.class_names[class].as_str());
                    if !self.selection.keeps(class_name, highest) {
                        continue;
                    }
                    let mut others = found.values(index)?;
                    others.push(highest.to_string());
                    others.extend(probabilities.iter().map(f32::to_string));
                    let distance = predictions.distances.as_ref().map(|distances| distances[row]);
                    others.extend(distance.map(|distance| distance.to_string()));
                    for table in &mut tables {
                        table.push(&Row {
                            tomogram: &name,
                            tomogram_number: 1,
                            position,
                            score: found.scores.as_ref().map(|scores| scores[index]),
                            // A model has fewer classes than a u32 counts.
                            class: class
                                .zip(class_name)
                                .map(|(class, name)| (class as u32 + 1, name)),
                            others: &others,
                            image: None,
                        })?;
                    }
                }
                Ok(())
            },
        )?;
        tables.into_iter().try_for_each(ParticleTable::finish)?;
        Ok((counts, rings))
    }
}

impl Found {
    /// Labels of columns beside those that all lists have, for STAR and for CSV.
    fn labels(&self, class_names: &[String], with_distances: bool) -> [Vec<String>; 2] {
        let carried: Vec<String> = self.list.as_ref().map_or(Vec::new(), |(list, _)| {
            self.carried.iter().map(|&column| list.labels()[column].clone()).collect()
        });
        let mut star = carried.clone();
        star.push("cinetomoProbability".to_owned());
        star.extend(column_labels(class_names));
        star.extend(with_distances.then(|| "cinetomoDistance".to_owned()));
        let mut csv = carried;
        csv.push("probability".to_owned());
        csv.extend(class_names.iter().map(|name| format!("probability_{name}")));
        csv.extend(with_distances.then(|| "distance".to_owned()));
        [star, csv]
    }

    /// What the list said of a particle.
    fn values(&self, index: usize) -> Result<Vec<String>> {
        let Some((list, indices)) = &self.list else { return Ok(Vec::new()) };
        let values = list.values(indices[index])?;
        Ok(self.carried.iter().map(|&column| values[column].clone()).collect())
    }
}
