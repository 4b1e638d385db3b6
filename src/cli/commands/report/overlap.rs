//! Whether a model is measured on what it was trained on, as far as the run file beside it tells.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use cinetomo_formats::csv::Labels;

use crate::truth::Labelled;

/// What a training was given.
struct Trained {
    /// Single boxes: files, and the number of the box in them, from 0 on.
    boxes: HashSet<(PathBuf, usize)>,
    /// Files and directories of which all boxes were used.
    whole: HashSet<PathBuf>,
}

/// Number of labelled boxes that the model was trained on; 0 where nothing tells.
pub fn n_trained_on(model: &Path, data: &Labelled) -> usize {
    let Some(trained) = Trained::of(model) else { return 0 };
    let (mut n, mut start) = (0, 0);
    for part in data.boxes.parts() {
        let is_whole = part.path().canonicalize().is_ok_and(|path| trained.whole.contains(&path));
        let mut last = (PathBuf::new(), PathBuf::new());
        for index in (0..part.len()).filter(|&index| data.labels[start + index] >= 0) {
            let (file, number) = part.file(index);
            if last.0 != file {
                last = (file.clone(), file.canonicalize().unwrap_or(file));
            }
            n += usize::from(is_whole || trained.boxes.contains(&(last.1.clone(), number)));
        }
        start += part.len();
    }
    n
}

impl Trained {
    fn of(model: &Path) -> Option<Trained> {
        let mut name = OsString::from(model);
        name.push(".run.toml");
        let run_file = PathBuf::from(name);
        let table: toml::Table = fs::read_to_string(&run_file).ok()?.parse().ok()?;
        let path = |value: &toml::Value| value.as_str().map(PathBuf::from);
        let place = table.get("directory").and_then(path).unwrap_or_default();
        let place = run_file.parent().unwrap_or(Path::new("")).join(place);
        let labels = table.get("labels").and_then(path);
        let inputs = table.get("input").and_then(toml::Value::as_array);
        let inputs = inputs.into_iter().flatten().filter_map(path);
        match labels {
            // Labels pick boxes out of the inputs.
            Some(labels) => {
                let places = inputs.map(|input| place.join(input)).collect::<Vec<_>>();
                let boxes = boxes_of(&place.join(labels), &places)?;
                Some(Trained { boxes, whole: HashSet::new() })
            }
            None => {
                let whole = inputs.filter_map(|input| place.join(input).canonicalize().ok());
                Some(Trained { boxes: HashSet::new(), whole: whole.collect() })
            }
        }
    }
}

/// The boxes that a file of labels names, by paths relative to a directory above it or to an input.
fn boxes_of(path: &Path, inputs: &[PathBuf]) -> Option<HashSet<(PathBuf, usize)>> {
    let labels = Labels::read(path).ok()?;
    let path = path.canonicalize().ok()?;
    let mut places: Vec<&Path> = path.ancestors().skip(1).collect();
    for input in inputs {
        places.extend(input.parent());
        places.push(input);
    }
    let of = |row: &cinetomo_formats::csv::LabelRow| {
        let found = places.iter().find_map(|at| at.join(&*row.image.path).canonicalize().ok())?;
        Some((found, row.image.index.map_or(0, |number| (number as usize).saturating_sub(1))))
    };
    Some(labels.rows.iter().filter_map(of).collect())
}
