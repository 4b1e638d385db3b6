//! What a report tells: everything is measured here, nothing is shown.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cinetomo_host::{
    Evaluation, GradCamOptions, Model, ModelInfo,
    abi::{
        cinetomo_class_metrics, cinetomo_confidence, cinetomo_reliability_bin, cinetomo_roc_point,
    },
};
use serde_json::Value;

use super::{beside::Other, map::Map, overlap};
use crate::{
    boxes::Contrast,
    chunks::{Which, for_chunks},
    commands::explain::volume,
    failure::Result,
    session::Session,
    slices::{self, Image},
    truth::Labelled,
};

/// Classes of which boxes are shown at most.
const MAX_SHOWN: usize = 24;

/// Bins of the reliability diagram, as in the calibration error of `evaluate`'s literature (Guo et al. 2017 have 15; few
/// boxes fill fewer).
const N_BINS: usize = 10;

/// A model, and what it is worth on labelled boxes.
#[derive(Debug)]
pub struct Findings {
    /// The model's file.
    pub model_path: PathBuf,
    /// Files of the boxes.
    pub inputs: Vec<PathBuf>,
    pub info: ModelInfo,
    /// What the model file says of the model.
    pub metadata: Value,
    pub confidence: cinetomo_confidence,
    /// Voxels of a box along z, y, x.
    pub shape: [usize; 3],
    pub voxel_size: f64,
    pub contrast: Contrast,
    pub has_groups: bool,
    /// Boxes that the model was trained on, too, as far as its run file tells.
    pub n_trained_on: usize,
    pub n_without_label: usize,
    /// Boxes of classes that the model does not know; they are in no number.
    pub n_of_unknown: BTreeMap<String, usize>,
    pub n_per_class: Vec<usize>,
    pub evaluation: Evaluation,
    pub classes: Vec<cinetomo_class_metrics>,
    /// For each class; empty where there is none.
    pub roc: Vec<Vec<cinetomo_roc_point>>,
    pub reliability: Vec<cinetomo_reliability_bin>,
    pub map: Option<Map>,
    /// Models that stand beside it.
    pub others: Vec<Other>,
    pub examples: Vec<Example>,
}

/// A box and what the network looks at in it.
#[derive(Debug)]
pub struct Example {
    pub name: String,
    pub label: usize,
    /// The most probable class.
    pub class: usize,
    pub probability: f32,
    pub slices: [Image; 3],
    /// The same, with the evidence for `class` over it.
    pub explained: [Image; 3],
}

/// What a model says of boxes whose class is known.
pub struct Answers {
    /// Indices of the boxes.
    indices: Vec<usize>,
    labels: Vec<usize>,
    /// The most probable class of each.
    classes: Vec<usize>,
    probabilities: Vec<f32>,
    n_classes: usize,
}

impl Findings {
    /// Measures.
    ///
    /// # Errors
    /// A box cannot be read, or a call of the plugin fails.
    pub fn of(
        session: &Session,
        model: &Model,
        path: &Path,
        others: &[PathBuf],
        data: &Labelled,
    ) -> Result<Findings> {
        let plugin = session.plugin;
        let info = model.info()?;
        let answers = Answers::ask(session, model, data)?;
        let labels = answers.numbers();
        let (scores, n_classes) = (&answers.probabilities, answers.n_classes);
        let roc =
            (0..n_classes).map(|class| plugin.evaluate_roc(scores, &labels, n_classes, class));
        let boxes = &data.boxes;
        Ok(Findings {
            model_path: path.to_owned(),
            inputs: boxes.parts().iter().map(|part| part.path().to_owned()).collect(),
            metadata: serde_json::from_str(&info.metadata_json).unwrap_or(Value::Null),
            confidence: model.confidence()?,
            shape: boxes.shape(),
            voxel_size: boxes.voxel_size(),
            contrast: boxes.contrast(),
            has_groups: boxes.has_groups(),
            n_trained_on: overlap::n_trained_on(path, data),
            n_without_label: data.labels.len()
                - labels.len()
                - data.n_of_unknown.values().sum::<usize>(),
            n_of_unknown: data.n_of_unknown.clone(),
            n_per_class: data.n_per_class(),
            evaluation: answers.evaluate(session)?,
            classes: plugin.evaluate_classes(scores, &labels, n_classes)?,
            roc: roc.collect::<Result<_, _>>()?,
            reliability: plugin.evaluate_reliability(scores, &labels, n_classes, N_BINS)?,
            map: Map::of(session, model, data, &answers.indices, &answers.is_right())?,
            others: others
                .iter()
                .map(|path| Other::of(session, path, data))
                .collect::<Result<_>>()?,
            examples: examples(session, model, data, &answers)?,
            info,
        })
    }

    /// The model's file without directories.
    pub fn name(&self) -> &str {
        self.model_path.file_name().and_then(|name| name.to_str()).unwrap_or("model")
    }
}

impl Answers {
    /// Classifies the boxes that have a label.
    ///
    /// # Errors
    /// A box cannot be read, or a call of the plugin fails.
    pub fn ask(session: &Session, model: &Model, data: &Labelled) -> Result<Answers> {
        let n_classes = data.class_names.len();
        let indices = data.labelled();
        let mut probabilities: Vec<f32> = Vec::with_capacity(indices.len() * n_classes);
        for_chunks(
            session,
            &data.boxes,
            Which::These(&indices),
            "classifying",
            |volume, hooks| model.classify(volume, hooks),
            |_, found| {
                probabilities.extend(found);
                Ok(())
            },
        )?;
        let best = |row: &[f32]| {
            let highest = row.iter().copied().fold(f32::MIN, f32::max);
            row.iter().position(|&p| p == highest).unwrap_or(0)
        };
        Ok(Answers {
            // Those that have a label.
            labels: indices.iter().map(|&index| data.labels[index].max(0) as usize).collect(),
            classes: probabilities.chunks(n_classes).map(best).collect(),
            indices,
            probabilities,
            n_classes,
        })
    }

    /// Accuracies and the like.
    ///
    /// # Errors
    /// A call of the plugin fails.
    pub fn evaluate(&self, session: &Session) -> Result<Evaluation> {
        Ok(session.plugin.evaluate(&self.probabilities, &self.numbers(), self.n_classes)?)
    }

    /// Whether the most probable class of each is its label.
    pub fn is_right(&self) -> Vec<bool> {
        self.classes.iter().zip(&self.labels).map(|(class, label)| class == label).collect()
    }

    fn numbers(&self) -> Vec<i32> {
        // Classes are fewer than an i32 counts.
        self.labels.iter().map(|&label| label as i32).collect()
    }

    /// Probability of the most probable class.
    fn probability(&self, row: usize) -> f32 {
        self.probabilities[row * self.n_classes + self.classes[row]]
    }
}

/// Of each class the box that is classified rightly with the highest probability, and the one that is so wrongly.
fn examples(
    session: &Session,
    model: &Model,
    data: &Labelled,
    answers: &Answers,
) -> Result<Vec<Example>> {
    let surest = |label: usize, is_right: bool| {
        let rows = (0..answers.labels.len()).filter(|&row| answers.labels[row] == label);
        rows.filter(|&row| (answers.classes[row] == label) == is_right)
            .max_by(|&a, &b| answers.probability(a).total_cmp(&answers.probability(b)))
    };
    let rows: Vec<usize> = (0..answers.n_classes.min(MAX_SHOWN))
        .flat_map(|label| [surest(label, true), surest(label, false)])
        .flatten()
        .collect();
    let indices: Vec<usize> = rows.iter().map(|&row| answers.indices[row]).collect();
    let shape = data.boxes.shape();
    let n_voxels: usize = shape.iter().product();
    let mut pictures = Vec::with_capacity(rows.len());
    for_chunks(
        session,
        &data.boxes,
        Which::These(&indices),
        "explaining",
        |volume, hooks| model.grad_cam(volume, &GradCamOptions::default(), hooks),
        |indices, maps| {
            for (&index, map) in indices.iter().zip(maps.chunks(n_voxels)) {
                let voxels = data.boxes.read([index])?;
                let voxels = volume(&voxels, shape)?;
                let over = Some((volume(map, shape)?, slices::greatest(map)));
                pictures.push([slices::slices(voxels, None), slices::slices(voxels, over)]);
            }
            Ok(())
        },
    )?;
    let example = |(&row, [slices, explained]): (&usize, [[Image; 3]; 2])| Example {
        name: data.boxes.name(answers.indices[row]),
        label: answers.labels[row],
        class: answers.classes[row],
        probability: answers.probability(row),
        slices,
        explained,
    };
    Ok(rows.iter().zip(pictures).map(example).collect())
}
