//! Model files: all of a model in one file (`tensor_file`).
//!
//! Tensors: `backbone/<name>` for every tensor of the network, `head/weight` and `head/bias`, and where the model has them
//! `mahalanobis/means` and `mahalanobis/whitening`. The document, `cinetomo` in the header's metadata, says what else
//! the model is.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    backbone::{Architecture, Network},
    confidence::{Confidence, Mahalanobis, MahalanobisRecord},
    error::{Error, ErrorKind, Result},
    model::{Head, Model, ModelConfig, Origin, TrainingRecord},
    parameters::Start,
    preprocess::{ContrastName, GreyScale, Normalization, Preprocess},
    tensor_file::{self, FileKind, Reader},
    volume::Contrast,
};

/// Newest version of the document's format that this release reads: raised when older releases would misread newer files.
const FORMAT_VERSION: u32 = 3;

const KIND: FileKind = FileKind {
    key: "cinetomo",
    name: "cinetomo model file",
    advice: "video checkpoints are read by model_from_video",
};

/// What a model file says of its model, besides the tensors.
#[derive(Serialize, Deserialize)]
struct Document {
    format_version: u32,
    cinetomo_version: String,
    backbone: String,
    class_names: Vec<String>,
    preprocess: Preprocess,
    dropout: f64,
    seed: u64,
    origin: Origin,
    voxel_size: f64,
    #[serde(with = "ContrastName")]
    contrast: Contrast,
    history: Vec<TrainingRecord>,
    /// From version 2 on.
    #[serde(default)]
    confidence: Confidence,
    /// From version 2 on.
    #[serde(default)]
    mahalanobis: Option<MahalanobisRecord>,
    /// From version 3 on: the last stage of the backbone that the head needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_after: Option<String>,
}

/// Everything that the model file says of the model, as JSON. Numbers that are not finite become `null`.
pub fn metadata_json(model: &Model) -> String {
    let document = Document {
        format_version: format_version(model),
        cinetomo_version: env!("CARGO_PKG_VERSION").to_owned(),
        backbone: model.network.architecture.to_string(),
        class_names: model.class_names.clone(),
        preprocess: model.preprocess.clone(),
        dropout: model.dropout,
        seed: model.seed,
        origin: model.origin.clone(),
        voxel_size: model.voxel_size,
        contrast: model.contrast,
        history: model.history.clone(),
        confidence: model.confidence.clone(),
        mahalanobis: model.mahalanobis.as_ref().map(|mahalanobis| mahalanobis.record.clone()),
        cut_after: model.network.cut_after.map(str::to_owned),
    };
    // Serialisation fails only for maps whose keys are not strings; the document's types have none.
    serde_json::to_string(&document).expect("the document's keys are strings")
}

/// The oldest version whose releases understand all that is to be said of the model.
fn format_version(model: &Model) -> u32 {
    match model.preprocess.normalization {
        Normalization::Unit | Normalization::Fixed => 3,
        _ if model.preprocess.fixed != GreyScale::default() => 3,
        _ if model.network.cut_after.is_some() => 3,
        _ if model.confidence != Confidence::default() || model.mahalanobis.is_some() => 2,
        _ => 1,
    }
}

/// Writes the model to `path`, replacing a file that is there; a symbolic link is followed.
///
/// The new file is complete on disk before it takes the old one's place, so a crash at any moment leaves one or the
/// other, at worst with a hidden `.<name>.<random>.tmp` beside it. It gets the permissions of any new file. Fails with
/// `Io`, leaving an old file as it was, if the directory is missing or not writable, the disk is full, or the path is a
/// directory, a device or a read-only file; with `NonFinite` if a weight is NaN or infinite.
pub fn save(model: &Model, path: &Path) -> Result<()> {
    let document = metadata_json(model);
    // A file that `load` would refuse must not replace one that it would not.
    parse_document(&document)
        .map_err(|error| error.within("this model cannot be saved").within(path.display()))?;
    tensor_file::save(path, &KIND, document, &tensors(model))
}

/// Reads the model in `path`, to compute on `device`. Fails with `Io` if the file cannot be read, `Format` if it is
/// damaged or no model file, `Unsupported` if a newer release is needed, `ModelMismatch` if its tensors are not those
/// of its network (the message lists what is wrong), `NonFinite` if a weight is NaN or infinite.
pub fn load(path: &Path, device: Device) -> Result<Model> {
    let reader = Reader::open(path, &KIND)?;
    let within = |error: Error| error.within(path.display());
    let document = parse_document(reader.document()?).map_err(within)?;
    let model = model_of(document, &reader, device).map_err(within)?;
    reader.read_into(tensors(&model))?;
    Ok(model)
}

/// All tensors of a model under their names in the file, in the file's order: those of the backbone, then the head.
fn tensors(model: &Model) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<(String, Tensor)> = model
        .network
        .parameters
        .iter()
        .map(|parameter| (backbone_name(&parameter.name), parameter.tensor.shallow_clone()))
        .collect();
    tensors.push((HEAD_WEIGHT.to_owned(), model.head.weight.shallow_clone()));
    tensors.push((HEAD_BIAS.to_owned(), model.head.bias.shallow_clone()));
    if let Some(mahalanobis) = &model.mahalanobis {
        tensors.push((MEANS.to_owned(), mahalanobis.means.shallow_clone()));
        tensors.push((WHITENING.to_owned(), mahalanobis.whitening.shallow_clone()));
    }
    tensors
}

const HEAD_WEIGHT: &str = "head/weight";
const HEAD_BIAS: &str = "head/bias";
const MEANS: &str = "mahalanobis/means";
const WHITENING: &str = "mahalanobis/whitening";

fn backbone_name(name: &str) -> String {
    format!("backbone/{name}")
}

/// The document, its values checked.
fn parse_document(text: &str) -> Result<Document> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
        cinetomo_version: String,
    }
    let damaged = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Format, format!("damaged: cinetomo's metadata: {error}"))
    };
    let version: Version = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    if version.format_version > FORMAT_VERSION {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "written by cinetomo {} in format {}; this is cinetomo {}, which reads up to format {FORMAT_VERSION}",
                version.cinetomo_version,
                version.format_version,
                env!("CARGO_PKG_VERSION")
            ),
        ));
    }
    let document: Document = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    document.check().map_err(|error| damaged(&error))?;
    Ok(document)
}

impl Document {
    fn check(&self) -> Result<()> {
        if self.format_version == 0 {
            return Err(Error::invalid("format_version 0: the first was 1"));
        }
        if !self.voxel_size.is_finite() || self.voxel_size < 0.0 {
            return Err(Error::invalid(format!("voxel_size {}", self.voxel_size)));
        }
        if let Origin::Video { sha256, .. } = &self.origin
            && (sha256.len() != 64
                || !sha256.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
        {
            return Err(Error::invalid(format!(
                "sha256 {sha256:?}: must be 64 hexadecimal digits"
            )));
        }
        let config = ModelConfig {
            backbone: None,
            class_names: self.class_names.clone(),
            preprocess: self.preprocess.clone(),
            seed: self.seed,
            dropout: self.dropout,
        };
        config.validate()?;
        self.confidence.check()?;
        match &self.mahalanobis {
            Some(record) => record.check(self.class_names.len()),
            None if self.confidence.distance.is_some() => {
                Err(Error::invalid("a threshold on distances from no class means"))
            }
            None => Ok(()),
        }
    }
}

/// The model of the document, its tensors still to be filled from the file.
fn model_of(document: Document, reader: &Reader<'_>, device: Device) -> Result<Model> {
    let architecture = Architecture::parse(&document.backbone)?;
    let mut network = Network::new(architecture, device, Start::Zeros)?;
    if let Some(stage) = &document.cut_after {
        let index = network.stage(stage).map(|(index, _)| index);
        let index = index.map_err(|error| {
            Error::new(
                ErrorKind::Format,
                format!("damaged: cinetomo's metadata: cut_after: {error}"),
            )
        })?;
        network.cut_after(index)?;
    }
    let n_features = network.n_features;
    let n_classes = document.class_names.len() as i64;
    let mut expected: Vec<(String, Vec<i64>)> = network
        .parameters
        .iter()
        .map(|parameter| (backbone_name(&parameter.name), parameter.tensor.size()))
        .collect();
    expected.push((HEAD_WEIGHT.to_owned(), vec![n_classes, n_features]));
    expected.push((HEAD_BIAS.to_owned(), vec![n_classes]));
    if let Some(record) = &document.mahalanobis {
        let n_means = record.classes.len() as i64;
        expected.push((MEANS.to_owned(), vec![n_means, n_features]));
        expected.push((WHITENING.to_owned(), vec![n_features; 2]));
    }
    reader.check_tensors(&expected)?;

    // The header's sizes are those of the file, and the head's are the header's: what is allocated is in the file.
    let zeros = |shape: &[i64]| Tensor::f_zeros(shape, (Kind::Float, device));
    let head = Head { weight: zeros(&[n_classes, n_features])?, bias: zeros(&[n_classes])? };
    let mahalanobis = |record: MahalanobisRecord| -> Result<Mahalanobis> {
        Ok(Mahalanobis {
            means: zeros(&[record.classes.len() as i64, n_features])?,
            whitening: zeros(&[n_features; 2])?,
            record,
        })
    };
    Ok(Model {
        network,
        head,
        preprocess: document.preprocess,
        class_names: document.class_names,
        dropout: document.dropout,
        seed: document.seed,
        origin: document.origin,
        voxel_size: document.voxel_size,
        contrast: document.contrast,
        history: document.history,
        confidence: document.confidence,
        mahalanobis: document.mahalanobis.map(mahalanobis).transpose()?,
        device,
    })
}

#[cfg(test)]
#[path = "model_file_test.rs"]
mod model_file_test;
