//! Model files: all of a model in one file, in the safetensors format.
//!
//! Tensors: `backbone/<name>` for every tensor of the network, `head/weight` and `head/bias`, all f32. The header's
//! metadata has one entry, `cinetomo`: a JSON document of what else the model is. Any safetensors reader opens the
//! file. Nothing in it is ever run. Reading takes no more memory than the network needs and the file has, whatever its
//! header claims; the file is read, not mapped, so that a file cut short meanwhile is an error and not a signal.

mod replace;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    backbone::{Architecture, Network},
    error::{Error, ErrorKind, Result},
    model::{Head, Model, ModelConfig, Origin, TrainingRecord},
    parameters::{Start, summary},
    preprocess::{ContrastName, Preprocess},
    volume::Contrast,
};

/// Version of the document's format: raised when older releases would misread newer files.
const FORMAT_VERSION: u32 = 1;

/// Key of the document in the header's metadata.
const DOCUMENT_KEY: &str = "cinetomo";

/// Longest header that readers of the format accept (safetensors 0.8, `MAX_HEADER_SIZE`).
const MAX_HEADER_BYTES: u64 = 100_000_000;

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
}

/// Everything that the model file says of the model, as JSON. Numbers that are not finite become `null`.
pub fn metadata_json(model: &Model) -> String {
    let document = Document {
        format_version: FORMAT_VERSION,
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
    };
    // Serialisation fails only for maps whose keys are not strings; the document's types have none.
    serde_json::to_string(&document).expect("the document's keys are strings")
}

/// Writes the model to `path`, replacing a file that is there; a symbolic link is followed.
///
/// The new file is complete on disk before it takes the old one's place, so a crash at any moment leaves one or the
/// other, at worst with a hidden `.<name>.<random>.tmp` beside it. It gets the permissions of any new file. Fails with
/// `Io`, leaving an old file as it was, if the directory is missing or not writable, the disk is full, or the path is a
/// directory, a device or a read-only file; with `NonFinite` if a weight is NaN or infinite.
pub fn save(model: &Model, path: &Path) -> Result<()> {
    let tensors = tensors(model);
    for (name, tensor) in &tensors {
        check_finite(name, &values(tensor)?)?;
    }
    let header = header(model, &tensors).map_err(|error| error.within(path.display()))?;
    replace::replace(path, |file| {
        let write = |file: &mut dyn Write, bytes: &[u8]| {
            file.write_all(bytes).map_err(|error| Error::io(path, &error))
        };
        write(file, &(header.len() as u64).to_le_bytes())?;
        write(file, &header)?;
        // One tensor at a time, so that no second copy of all weights is made.
        for (_, tensor) in &tensors {
            let values = values(tensor)?;
            let mut bytes = vec![0; values.len() * size_of::<f32>()];
            for (bytes, value) in bytes.chunks_exact_mut(size_of::<f32>()).zip(values) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            write(file, &bytes)?;
        }
        Ok(())
    })
}

/// Reads the model in `path`, to compute on `device`. Fails with `Io` if the file cannot be read, `Format` if it is
/// damaged or no model file, `Unsupported` if a newer release is needed, `ModelMismatch` if its tensors are not those
/// of its network (the message lists what is wrong), `NonFinite` if a weight is NaN or infinite.
pub fn load(path: &Path, device: Device) -> Result<Model> {
    let io = |error: io::Error| Error::io(path, &error);
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its other end.
        return Err(Error::new(
            ErrorKind::Io,
            format!("{}: a directory or device, not a model file", path.display()),
        ));
    }
    let mut file = File::open(path).map_err(io)?;
    let header = read_header(&mut file, metadata.len(), path)?;
    let document = read_document(&header, path)?;
    let model =
        model_of(document, &header, device).map_err(|error| error.within(path.display()))?;

    let _guard = tch::no_grad_guard();
    let mut targets: HashMap<String, Tensor> = tensors(&model).into_iter().collect();
    for name in header.offset_keys() {
        let (Some(info), Some(target)) = (header.info(&name), targets.get_mut(&name)) else {
            continue; // Not reached: `model_of` found the same names on both sides.
        };
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes).map_err(io)?;
        let (chunks, _) = bytes.as_chunks();
        let values: Vec<f32> = chunks.iter().copied().map(f32::from_le_bytes).collect();
        check_finite(&name, &values).map_err(|error| error.within(path.display()))?;
        target.f_copy_(&Tensor::f_from_slice(&values)?.f_reshape(target.size())?)?;
    }
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
    tensors
}

const HEAD_WEIGHT: &str = "head/weight";
const HEAD_BIAS: &str = "head/bias";

fn backbone_name(name: &str) -> String {
    format!("backbone/{name}")
}

/// The values of a tensor, copied to the CPU if need be.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(Vec::try_from(&tensor.f_detach()?.f_reshape([-1])?)?)
}

fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        n => Err(Error::new(
            ErrorKind::NonFinite,
            format!("{name}: {n} of {} weights NaN or infinite", values.len()),
        )),
    }
}

/// The header of the file: where each tensor is, and the document. Padded with spaces to whole words, as the format
/// wants it.
fn header(model: &Model, tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let document = metadata_json(model);
    // A file that `load` would refuse must not replace one that it would not.
    parse_document(&document).map_err(|error| error.within("this model cannot be saved"))?;
    let mut end = 0;
    let infos = tensors
        .iter()
        .map(|(name, tensor)| {
            let shape: Vec<usize> = tensor.size().iter().map(|&extent| extent as usize).collect();
            let start = end;
            end += shape.iter().product::<usize>() * size_of::<f32>();
            (name.clone(), TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) })
        })
        .collect();
    let broken = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Panic, format!("the header of the model file: {error}"))
    };
    let metadata = Metadata::new(Some(HashMap::from([(DOCUMENT_KEY.to_owned(), document)])), infos)
        .map_err(|error| broken(&error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| broken(&error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > MAX_HEADER_BYTES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "names and history of the model take {} bytes, the format allows {MAX_HEADER_BYTES}",
                header.len()
            ),
        ));
    }
    Ok(header)
}

/// Reads and checks the header of a file of `length` bytes; leaves `file` at the first tensor.
fn read_header(file: &mut File, length: u64, path: &Path) -> Result<Metadata> {
    let foreign = |detail: &dyn std::fmt::Display| {
        Error::format(
            path,
            format!(
                "not a cinetomo model file ({detail}); video checkpoints are read by model_from_video"
            ),
        )
    };
    let io = |error: io::Error| Error::io(path, &error);
    if length < 8 {
        return Err(foreign(&format_args!("{length} bytes are too few")));
    }
    let mut word = [0; 8];
    file.read_exact(&mut word).map_err(io)?;
    let header_bytes = u64::from_le_bytes(word);
    if header_bytes > MAX_HEADER_BYTES || header_bytes > length - 8 {
        return Err(foreign(&format_args!(
            "it would have a header of {header_bytes} bytes, in a file of {length}"
        )));
    }
    let mut bytes = vec![0; header_bytes as usize];
    file.read_exact(&mut bytes).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&bytes).map_err(|error| {
        foreign(&format_args!("its header is not that of safetensors: {error}"))
    })?;
    let expected = header_bytes.saturating_add(8).saturating_add(header.data_len() as u64);
    if length != expected {
        let fate = if length < expected { "cut short" } else { "something was appended" };
        return Err(Error::format(
            path,
            format!("damaged: {fate}; it has {length} bytes, its header describes {expected}"),
        ));
    }
    Ok(header)
}

/// The document in the header of the file at `path`.
fn read_document(header: &Metadata, path: &Path) -> Result<Document> {
    let Some(text) = header.metadata().as_ref().and_then(|entries| entries.get(DOCUMENT_KEY))
    else {
        return Err(Error::format(
            path,
            "not a cinetomo model file (a safetensors file without cinetomo's metadata); video checkpoints are read by \
             model_from_video",
        ));
    };
    parse_document(text).map_err(|error| error.within(path.display()))
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
        config.validate()
    }
}

/// The model of the document, its tensors still to be filled from a file with that header.
fn model_of(document: Document, header: &Metadata, device: Device) -> Result<Model> {
    let architecture = Architecture::parse(&document.backbone)?;
    let spec = architecture.spec;
    let network = Network::new(architecture, device, Start::Zeros)?;
    let n_classes = document.class_names.len() as i64;
    let mut expected: Vec<(String, Vec<i64>)> = network
        .parameters
        .iter()
        .map(|parameter| (backbone_name(&parameter.name), parameter.tensor.size()))
        .collect();
    expected.push((HEAD_WEIGHT.to_owned(), vec![n_classes, spec.n_features]));
    expected.push((HEAD_BIAS.to_owned(), vec![n_classes]));
    check_tensors(&expected, header)?;

    // The header's sizes are those of the file, and the head's are the header's: what is allocated is in the file.
    let zeros = |shape: &[i64]| Tensor::f_zeros(shape, (Kind::Float, device));
    let head = Head { weight: zeros(&[n_classes, spec.n_features])?, bias: zeros(&[n_classes])? };
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
        device,
    })
}

/// Fails, listing what is wrong, unless the file has exactly the tensors that are expected.
fn check_tensors(expected: &[(String, Vec<i64>)], header: &Metadata) -> Result<()> {
    let mut found = header.tensors();
    let mut wrong: Vec<String> = Vec::new();
    for (name, shape) in expected {
        match found.remove(name) {
            None => wrong.push(format!("missing: {name}")),
            Some(info) if info.dtype != Dtype::F32 => {
                wrong.push(format!("{name}: type {}, must be F32", info.dtype));
            }
            Some(info) if !info.shape.iter().map(|&n| n as i64).eq(shape.iter().copied()) => {
                wrong.push(format!("{name}: shape {:?}, must be {shape:?}", info.shape));
            }
            Some(_) => {}
        }
    }
    let mut unexpected: Vec<String> = found.into_keys().collect();
    unexpected.sort_unstable();
    wrong.extend(unexpected.iter().map(|name| format!("unexpected: {name}")));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::ModelMismatch, summary(&wrong)))
    }
}

#[cfg(test)]
#[path = "model_file_test.rs"]
mod model_file_test;
