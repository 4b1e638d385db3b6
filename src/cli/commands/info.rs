//! `cinetomo info`: what a file is, and what this machine computes with.

use std::path::{Path, PathBuf};

use cinetomo_formats::{
    csv::{Labels, Results},
    npz::{MedMnist, Npz},
    particle_list::{Folders, ParticleFile, PositionUnit},
    structure::Structure,
    volumes::{self, VolumeSource},
};
use cinetomo_host::{ModelInfo, Plugin};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    args::Global,
    console::Console,
    failure::Result,
    interrupt,
    outputs::extension,
    session::{self, Session},
};

const EXAMPLES: &str = "\
Examples:
  cinetomo info                          # the plugin, libtorch, the GPU
  cinetomo info tuned.safetensors        # classes, network, voxel size, training of a model
  cinetomo info run_data.star boxes/ tomogram.mrc labels.csv 3gl1.pdb
  cinetomo info --json tuned.safetensors | jq .files[0].class_names";

/// Describes files or the machine.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Info {
    /// Models, boxes, tomograms, particle lists, labels, results, structures; without any, the machine is described
    #[arg(value_name = "PATH")]
    files: Vec<PathBuf>,
}

impl Info {
    pub fn run(&self, global: &Global, console: &Console) -> Result<()> {
        if self.files.is_empty() {
            let (text, json) = describe_machine(session::load(global.plugin.as_deref())?, global)?;
            return console.result(&text, &json);
        }
        let (mut text, mut files) = (String::new(), Vec::new());
        for path in &self.files {
            interrupt::check()?;
            let (lines, json) = describe(path, global, console)?;
            text += &lines;
            files.push(json);
        }
        console.result(&text, &json!({ "files": files }))
    }
}

fn describe_machine(plugin: Plugin, global: &Global) -> Result<(String, Value)> {
    let info = plugin.runtime_info()?;
    let cuda = if info.cuda_path.is_empty() { "none: a CPU-only install" } else { &info.cuda_path };
    let driver = if info.cuda_driver.is_empty() { "none" } else { &info.cuda_driver };
    let found = match &global.plugin {
        Some(path) => path.display().to_string(),
        None => session::find(None)?.path.display().to_string(),
    };
    let text = format!(
        "cinetomo {}, plugin {} ({found})\nlibtorch {}: {}\nCUDA part: {cuda}\nNVIDIA driver: {driver}\n\
         CPU cores: {}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        info.version,
        info.libtorch_version,
        info.libtorch_path,
        info.n_cores,
        info.summary
    );
    let json = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "plugin": { "version": info.version, "found": found },
        "libtorch": { "version": info.libtorch_version, "path": info.libtorch_path, "cuda_path": info.cuda_path },
        "cuda_driver": info.cuda_driver,
        "n_cores": info.n_cores,
        "summary": info.summary,
    });
    Ok((text, json))
}

/// What a file is, in lines that begin with its name, and as JSON.
fn describe(path: &Path, global: &Global, console: &Console) -> Result<(String, Value)> {
    match extension(path).as_str() {
        _ if path.is_dir() => describe_volumes(path, &*volumes::open(path)?),
        "safetensors" => {
            let session = Session::start(global, console)?;
            let model = session.context.model_load(path)?;
            Ok(describe_model(path, &model.info()?))
        }
        "star" | "tbl" => describe_list(path),
        "csv" => describe_csv(path),
        "pdb" | "ent" | "cif" | "mmcif" => describe_structure(path),
        "npz" => describe_archive(path),
        _ => describe_volumes(path, &*volumes::open(path)?),
    }
}

/// What a model is.
pub fn describe_model(path: &Path, info: &ModelInfo) -> (String, Value) {
    let metadata: Value = serde_json::from_str(&info.metadata_json).unwrap_or(Value::Null);
    let start = match info.checkpoint_sha256.as_str() {
        "" => "random numbers".to_owned(),
        sha256 => format!("video checkpoint, SHA-256 {sha256}"),
    };
    let n_trainings = metadata["history"].as_array().map_or(0, Vec::len);
    let contrast = contrast_name(info.contrast);
    let text = format!(
        "{}: model\n  network: {}, {:.1} million weights, {} features\n  start: {start}\n  classes: {}\n  \
         trainings: {n_trainings}\n  voxel size: {}\n  contrast: {contrast}\n  input: {}\n",
        path.display(),
        info.backbone,
        info.n_parameters as f64 / 1e6,
        info.n_features,
        info.class_names.join(", "),
        angstrom(info.voxel_size),
        match info.input_size {
            [0, 0, 0] => "as the boxes come".to_owned(),
            size => format!("{size:?} (beam, other axes; 0 = as they come)"),
        },
    );
    let json = json!({
        "path": path,
        "kind": "model",
        "backbone": info.backbone,
        "class_names": info.class_names,
        "stage_names": info.stage_names,
        "n_features": info.n_features,
        "n_parameters": info.n_parameters,
        "input_size": info.input_size,
        "voxel_size": info.voxel_size,
        "contrast": contrast,
        "checkpoint_sha256": info.checkpoint_sha256,
        "metadata": metadata,
    });
    (text, json)
}

fn contrast_name(contrast: i32) -> &'static str {
    match contrast {
        1 => "dark",
        2 => "bright",
        _ => "unknown",
    }
}

fn angstrom(size: f64) -> String {
    if size > 0.0 { format!("{size} angstrom") } else { "unknown".to_owned() }
}

/// Mean, standard deviation, lowest and highest of a volume's voxels.
fn statistics(source: &dyn VolumeSource) -> Result<[f64; 4]> {
    let [mut sum, mut squares] = [0.0; 2];
    let [mut lowest, mut highest] = [f64::INFINITY, f64::NEG_INFINITY];
    let [z, y, x] = source.shape();
    // Section by section: a tomogram need not fit into memory.
    for section in 0..z {
        interrupt::check()?;
        for &voxel in &source.read_block(0, [section, 0, 0], [1, y, x])? {
            let voxel = f64::from(voxel);
            sum += voxel;
            squares += voxel * voxel;
            lowest = lowest.min(voxel);
            highest = highest.max(voxel);
        }
    }
    let n = (z * y * x) as f64;
    let mean = sum / n;
    Ok([mean, (squares / n - mean * mean).max(0.0).sqrt(), lowest, highest])
}

fn describe_volumes(path: &Path, source: &dyn VolumeSource) -> Result<(String, Value)> {
    let [z, y, x] = source.shape();
    let n = source.n_volumes();
    let [mean, deviation, lowest, highest] = statistics(source)?;
    let what = if n == 1 { "1 volume".to_owned() } else { format!("{n} volumes") };
    let text = format!(
        "{}: {what} of {z} x {y} x {x} voxels (z, y, x)\n  format: {}, {}\n  voxel size: {}\n  \
         first volume: mean {mean:.4}, standard deviation {deviation:.4}, from {lowest} to {highest}\n",
        path.display(),
        source.format(),
        source.dtype(),
        angstrom(source.voxel_size()),
    );
    let json = json!({
        "path": path,
        "kind": "volumes",
        "n": n,
        "shape": source.shape(),
        "format": source.format(),
        "dtype": source.dtype().to_string(),
        "voxel_size": source.voxel_size(),
        "first": { "mean": mean, "standard_deviation": deviation, "lowest": lowest, "highest": highest },
    });
    Ok((text, json))
}

fn describe_archive(path: &Path) -> Result<(String, Value)> {
    let archive = Npz::open(path)?;
    if !archive.names().contains(&"train_labels") {
        return describe_volumes(path, &archive.volumes(None)?);
    }
    let data = MedMnist::read(&archive)?;
    let shape = data.train.volumes.shape();
    let parts = [("train", &data.train), ("val", &data.validation), ("test", &data.test)];
    let labels = || parts.iter().flat_map(|(_, split)| &split.labels);
    let n_classes = labels().max().map_or(0, |&highest| highest + 1);
    let counts: Vec<String> =
        parts.iter().map(|(name, split)| format!("{} {name}", split.labels.len())).collect();
    let text = format!(
        "{}: MedMNIST3D data set: {}\n  {n_classes} classes, volumes of {shape:?} voxels\n",
        path.display(),
        counts.join(", ")
    );
    let n: serde_json::Map<String, Value> =
        parts.iter().map(|(name, split)| ((*name).to_owned(), split.labels.len().into())).collect();
    let json = json!({
        "path": path, "kind": "medmnist", "n": n, "n_classes": n_classes, "shape": shape,
    });
    Ok((text, json))
}

fn describe_list(path: &Path) -> Result<(String, Value)> {
    let file = ParticleFile::open(path, Folders::default())?;
    let list = file.list();
    let n = list.particles.len();
    let mut classes = std::collections::BTreeMap::new();
    for class in list.particles.iter().filter_map(|particle| particle.class) {
        *classes.entry(class).or_insert(0usize) += 1;
    }
    let shown: Vec<String> = classes.iter().map(|(class, n)| format!("{n} of {class}")).collect();
    let sizes = list.particles.iter().map(|particle| particle.voxel_size);
    let (smallest, largest) =
        sizes.fold((f64::INFINITY, 0.0f64), |(low, high), size| (low.min(size), high.max(size)));
    let images = match list.find_images(Folders::default()) {
        Ok(images) => images
            .bases
            .iter()
            .map(|(base, _)| format!("relative to {base}"))
            .collect::<Vec<_>>()
            .join("; "),
        Err(error) => format!("not found: {error}"),
    };
    let unit = match list.position_unit {
        None => "none",
        Some(PositionUnit::Voxel) => "in voxels",
        Some(PositionUnit::CentredAngstrom) => "in angstrom from the centre",
    };
    let of_voxel = list.position_voxel_size.map(|size| format!(" of {size} angstrom"));
    let n_shifted = list.particles.iter().filter(|particle| particle.shift != [0.0; 3]).count();
    let shifted = (n_shifted > 0).then(|| {
        let labels = list.columns.shift.join(", ");
        format!("; {n_shifted} with refined shifts ({labels})")
    });
    let text = format!(
        "{}: {n} particles in {} tomograms, {}\n  voxel size: {}\n  images: {images}\n  positions: {unit}{}{}\n  \
         classes: {}\n{}",
        path.display(),
        list.tomograms.len(),
        list.dialect,
        if smallest == largest {
            angstrom(largest)
        } else {
            format!("{smallest} to {largest} angstrom")
        },
        of_voxel.unwrap_or_default(),
        shifted.unwrap_or_default(),
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") },
        list.notes.iter().map(|note| format!("  note: {note}\n")).collect::<String>(),
    );
    let classes: serde_json::Map<String, Value> =
        classes.into_iter().map(|(class, n)| (class.to_string(), n.into())).collect();
    let json = json!({
        "path": path,
        "kind": "particles",
        "n": n,
        "n_tomograms": list.tomograms.len(),
        "dialect": list.dialect.to_string(),
        "voxel_size": { "smallest": smallest, "largest": largest },
        "position_voxel_size": list.position_voxel_size,
        "n_shifted": n_shifted,
        "classes": classes,
        "notes": list.notes,
    });
    Ok((text, json))
}

fn describe_csv(path: &Path) -> Result<(String, Value)> {
    if let Ok(results) = Results::read(path) {
        let n_without = results.classes.iter().filter(|class| class.is_none()).count();
        let text = format!(
            "{}: results for {} images\n  classes: {}\n  without a class: {n_without}\n",
            path.display(),
            results.images.len(),
            results.class_names.join(", ")
        );
        let json = json!({
            "path": path, "kind": "results", "n": results.images.len(), "class_names": results.class_names,
            "n_without_class": n_without,
        });
        return Ok((text, json));
    }
    let labels = Labels::read(path)?;
    let mut classes = std::collections::BTreeMap::new();
    for row in &labels.rows {
        *classes.entry(row.label.as_str()).or_insert(0usize) += 1;
    }
    let shown: Vec<String> = classes.iter().map(|(class, n)| format!("{class} ({n})")).collect();
    let images = match labels.find_images(None) {
        Ok(_) => "all there".to_owned(),
        Err(error) => format!("not found: {error}"),
    };
    let text = format!(
        "{}: {} labelled images\n  classes: {}\n  groups: {}\n  images: {images}\n",
        path.display(),
        labels.rows.len(),
        shown.join(", "),
        if labels.has_groups { "yes" } else { "no" },
    );
    let json = json!({
        "path": path, "kind": "labels", "n": labels.rows.len(), "classes": classes,
        "has_groups": labels.has_groups,
    });
    Ok((text, json))
}

fn describe_structure(path: &Path) -> Result<(String, Value)> {
    let structure = Structure::read(path)?;
    let mut extents = [[f64::INFINITY, f64::NEG_INFINITY]; 3];
    for atom in &structure.atoms {
        for (extent, position) in extents.iter_mut().zip(atom.position) {
            *extent = [extent[0].min(position), extent[1].max(position)];
        }
    }
    let [z, y, x] = extents.map(|[low, high]| high - low);
    let text = format!(
        "{}: structure of {} atoms, {z:.0} x {y:.0} x {x:.0} angstrom (z, y, x)\n{}",
        path.display(),
        structure.atoms.len(),
        structure.notes.iter().map(|note| format!("  note: {note}\n")).collect::<String>(),
    );
    let json = json!({
        "path": path, "kind": "structure", "n_atoms": structure.atoms.len(), "extent": [z, y, x],
        "notes": structure.notes,
    });
    Ok((text, json))
}
