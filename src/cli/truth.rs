//! Which class each box is of, as a person said: from a CSV file, a particle list or a data set.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use cinetomo_formats::csv::Labels;
use clap::Args;

use crate::{
    boxes::{BoxArgs, Boxes, List, Part},
    console::Console,
    failure::{Failure, Result},
};

/// Most classes that a particle list may number: what is beyond is no class.
const MAX_CLASSES: usize = 10_000;

/// Where labels come from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Labels")]
pub struct LabelArgs {
    /// Labels: a .csv with the columns path, label and maybe group. Without --input its images are the boxes. Without
    /// this the --input states classes: a .csv, the class column of a particle list, or a MedMNIST3D archive
    #[arg(long, value_name = "CSV")]
    pub labels: Option<PathBuf>,
    /// Names of the classes in their order; by default those of the labels, sorted
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub classes: Vec<String>,
}

/// Boxes and their classes.
#[derive(Debug)]
pub struct Labelled {
    /// The boxes.
    pub boxes: Boxes,
    /// The class of each, counted from 0; -1 = without label.
    pub labels: Vec<i32>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Classes that are none of those, and how many boxes of each there are; they have no label.
    pub n_of_unknown: BTreeMap<String, usize>,
}

impl Labelled {
    /// Opens boxes and labels. `known` are the classes of a model that the labels must be of.
    ///
    /// # Errors
    /// A file cannot be read, there are no labels, or one names no class: with file, line and column.
    pub fn open(
        boxes: &BoxArgs,
        labels: &LabelArgs,
        known: Option<&[String]>,
        console: &Console,
    ) -> Result<Labelled> {
        let (labelled, strangers) = Labelled::open_all(boxes, labels, known, console)?;
        match strangers.into_iter().next() {
            None => Ok(labelled),
            Some(stranger) => Err(Failure::Error(stranger.message)),
        }
    }

    /// The same to measure a model on, of whose classes a label need not be: boxes of others are counted apart.
    ///
    /// # Errors
    /// A file cannot be read, or no label is of a class of the model.
    pub fn open_to_measure(
        boxes: &BoxArgs,
        labels: &LabelArgs,
        known: &[String],
        console: &Console,
    ) -> Result<Labelled> {
        let (mut labelled, strangers) = Labelled::open_all(boxes, labels, Some(known), console)?;
        if let (Some(stranger), true) = (strangers.first(), labelled.labelled().is_empty()) {
            return Err(Failure::Error(stranger.message.clone()));
        }
        for stranger in strangers {
            *labelled.n_of_unknown.entry(stranger.class).or_default() += 1;
        }
        Ok(labelled)
    }

    fn open_all(
        boxes: &BoxArgs,
        labels: &LabelArgs,
        known: Option<&[String]>,
        console: &Console,
    ) -> Result<(Labelled, Vec<Stranger>)> {
        let (opened, stated) = match &labels.labels {
            Some(path) if boxes.input.is_empty() => {
                let part = Part::of_labels(Labels::read(path)?, boxes, console)?;
                let opened = Boxes::of_parts(vec![part], boxes, console)?;
                let stated = Stated::by_inputs(&opened)?;
                (opened, stated)
            }
            Some(path) => {
                let opened = Boxes::open(boxes, console)?;
                let stated = Stated::by_file(&opened, &Labels::read(path)?)?;
                (opened, stated)
            }
            None => {
                let opened = Boxes::open(boxes, console)?;
                let stated = Stated::by_inputs(&opened)?;
                (opened, stated)
            }
        };
        let class_names = stated.class_names(known, &labels.classes)?;
        let (labels, strangers) = stated.labels(&class_names);
        let n_without = labels.iter().filter(|&&label| label < 0).count() - strangers.len();
        if n_without == labels.len() {
            return Err(Failure::Error("no box has a label".to_owned()));
        }
        if n_without > 0 {
            console.info(format!("{n_without} of {} boxes have no label", labels.len()));
        }
        let n_of_unknown = BTreeMap::new();
        Ok((Labelled { boxes: opened, labels, class_names, n_of_unknown }, strangers))
    }

    /// Number of boxes of each class.
    pub fn n_per_class(&self) -> Vec<usize> {
        let mut n = vec![0; self.class_names.len()];
        for &label in &self.labels {
            if let Some(n) = usize::try_from(label).ok().and_then(|label| n.get_mut(label)) {
                *n += 1;
            }
        }
        n
    }

    /// Indices of the boxes that have a label.
    pub fn labelled(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&index| self.labels[index] >= 0).collect()
    }
}

/// What a file states of the class of a box.
enum Stated {
    /// Names, and the places where they stand.
    Names(Vec<Option<(String, Place)>>),
    /// Numbers from 0 on.
    Numbers(Vec<Option<usize>>),
}

/// A line of a file.
struct Place {
    path: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}, label", self.path.display(), self.line)
    }
}

impl Stated {
    /// What the inputs say themselves.
    fn by_inputs(boxes: &Boxes) -> Result<Stated> {
        let mut stated: Option<Stated> = None;
        for part in boxes.parts() {
            match (Stated::by_part(part)?, &mut stated) {
                (first, None) => stated = Some(first),
                (Stated::Names(more), Some(Stated::Names(names))) => names.extend(more),
                (Stated::Numbers(more), Some(Stated::Numbers(numbers))) => numbers.extend(more),
                _ => {
                    let message = "some inputs name their classes, others number them: one run needs one kind";
                    return Err(Failure::at(part.path(), message));
                }
            }
        }
        stated.ok_or_else(|| Failure::Usage("no subtomograms: name them with --input".to_owned()))
    }

    fn by_part(part: &Part) -> Result<Stated> {
        if let Some(classes) = part.classes() {
            return Ok(Stated::Numbers(classes.iter().map(|&class| Some(class)).collect()));
        }
        match part.list() {
            Some(List::Labels(labels)) => {
                let of = |row: &cinetomo_formats::csv::LabelRow| {
                    (row.label.clone(), Place { path: labels.path.clone(), line: row.line })
                };
                Ok(Stated::Names(labels.rows.iter().map(|row| Some(of(row))).collect()))
            }
            Some(List::Particles(file)) => {
                let list = file.list();
                if list.columns.class.is_none() {
                    return Err(Failure::at(
                        part.path(),
                        "the list has no column of classes (rlnClassNumber); give labels with --labels",
                    ));
                }
                // Classes of lists count from 1; 0 and less mean none.
                let class = |class: Option<i64>| usize::try_from(class?).ok()?.checked_sub(1);
                Ok(Stated::Numbers(list.particles.iter().map(|p| class(p.class)).collect()))
            }
            None => Err(Failure::at(
                part.path(),
                "has no labels; give a file of them with --labels (columns path and label)",
            )),
        }
    }

    /// What a file of labels says of boxes that are opened by themselves.
    fn by_file(boxes: &Boxes, labels: &Labels) -> Result<Stated> {
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut indices: HashMap<(PathBuf, usize), usize> = HashMap::with_capacity(boxes.len());
        let mut start = 0;
        for part in boxes.parts() {
            let mut last: Option<(PathBuf, PathBuf)> = None;
            for index in 0..part.len() {
                let (file, volume) = part.file(index);
                let known = match &last {
                    Some((named, known)) if *named == file => known.clone(),
                    _ => canonical(&file),
                };
                last = Some((file, known.clone()));
                indices.insert((known, volume), start + index);
            }
            start += part.len();
        }
        let places = places(boxes, &labels.path);
        let mut names: Vec<Option<(String, Place)>> = (0..boxes.len()).map(|_| None).collect();
        for row in &labels.rows {
            let volume = row.image.index.map_or(0, |number| number as usize - 1);
            let found = places.iter().find_map(|place| {
                let path = place.join(&*row.image.path).canonicalize().ok()?;
                indices.get(&(path, volume)).copied()
            });
            let Some(index) = found else {
                let message = format!(
                    "line {}, path: {} is none of the boxes of --input",
                    row.line, row.image
                );
                return Err(Failure::at(&labels.path, message));
            };
            let place = Place { path: labels.path.clone(), line: row.line };
            if let Some((_, before)) = names[index].replace((row.label.clone(), place)) {
                let message = format!(
                    "line {}, path: {} is labelled in line {}, too",
                    row.line, row.image, before.line
                );
                return Err(Failure::at(&labels.path, message));
            }
        }
        Ok(Stated::Names(names))
    }

    /// Names of the classes: those of the model, or those given, or those found.
    fn class_names(&self, known: Option<&[String]>, given: &[String]) -> Result<Vec<String>> {
        if let Some(known) = known {
            if !given.is_empty() && given != known {
                let known = known.join(", ");
                return Err(Failure::Usage(format!(
                    "--classes differ from those of the model: {known}"
                )));
            }
            return Ok(known.to_vec());
        }
        if !given.is_empty() {
            return Ok(given.to_vec());
        }
        match self {
            Stated::Names(names) => {
                let names: BTreeSet<&str> =
                    names.iter().flatten().map(|(name, _)| name.as_str()).collect();
                Ok(names.into_iter().map(str::to_owned).collect())
            }
            Stated::Numbers(numbers) => {
                let n = numbers.iter().flatten().max().map_or(0, |&highest| highest + 1);
                if n > MAX_CLASSES {
                    let message =
                        format!("the highest class is number {n}; expected at most {MAX_CLASSES}");
                    return Err(Failure::Error(message));
                }
                Ok((1..=n).map(|number| format!("class_{number}")).collect())
            }
        }
    }

    /// Indices into these names, -1 = none; and what is of none of them.
    fn labels(&self, class_names: &[String]) -> (Vec<i32>, Vec<Stranger>) {
        let n = class_names.len();
        let mut strangers = Vec::new();
        let mut stranger = |class: String, message: String| {
            strangers.push(Stranger { class, message });
            -1
        };
        let labels = match self {
            Stated::Names(names) => {
                let indices: HashMap<&str, i32> =
                    class_names.iter().map(String::as_str).zip(0..).collect();
                let of = |stated: &Option<(String, Place)>| match stated {
                    None => -1,
                    Some((name, place)) => {
                        indices.get(name.as_str()).copied().unwrap_or_else(|| {
                            let known = class_names.join(", ");
                            let message =
                                format!("{place}: {name:?} is none of the classes {known}");
                            stranger(name.clone(), message)
                        })
                    }
                };
                names.iter().map(of).collect()
            }
            Stated::Numbers(numbers) => {
                let of = |(index, number): (usize, &Option<usize>)| match number {
                    None => -1,
                    // There are at most `MAX_CLASSES`.
                    Some(number) if *number < n => *number as i32,
                    Some(number) => stranger(
                        format!("class {}", number + 1),
                        format!(
                            "box {} is of class {}, but there are {n} classes",
                            index + 1,
                            number + 1
                        ),
                    ),
                };
                numbers.iter().enumerate().map(of).collect()
            }
        };
        (labels, strangers)
    }
}

/// A box whose class is none of those that there are.
struct Stranger {
    class: String,
    /// Where that stands.
    message: String,
}

/// Directories that paths of labels may be relative to: that of the file and those above it, and the inputs.
fn places(boxes: &Boxes, labels: &Path) -> Vec<PathBuf> {
    let labels = std::path::absolute(labels).unwrap_or_else(|_| labels.to_owned());
    let mut places: Vec<PathBuf> = labels.ancestors().skip(1).map(Path::to_owned).collect();
    for part in boxes.parts() {
        let path = std::path::absolute(part.path()).unwrap_or_else(|_| part.path().to_owned());
        places.extend(path.parent().map(Path::to_owned));
        if path.is_dir() {
            places.push(path);
        }
    }
    places
}
