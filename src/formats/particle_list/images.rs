//! Where the images of a list are.

use std::{
    fmt::{self, Display},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{Error, ErrorKind, Result};

/// The image of a particle as a list names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// The file, without the number before `@`. One text for the images of a stack that follow each other.
    pub path: Arc<str>,
    /// Which volume of a stack, from 1 on: the number before `@`.
    pub index: Option<u32>,
}

impl ImageReference {
    /// Understands `000001@stack.mrcs` and plain paths. `None` if the path is empty or the number is 0 or too large.
    pub fn parse(text: &str) -> Option<ImageReference> {
        ImageReference::parse_after(text, None)
    }

    /// The same; `before` is the image in the row before, which may be of the same stack.
    pub(crate) fn parse_after(
        text: &str,
        before: Option<&ImageReference>,
    ) -> Option<ImageReference> {
        let numbered = text
            .split_once('@')
            .filter(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        let (index, path) = match numbered {
            Some((number, path)) => (Some(number.parse().ok().filter(|&index| index > 0)?), path),
            None => (None, text),
        };
        let shared = before.filter(|before| *before.path == *path);
        let path_of = || shared.map_or_else(|| path.into(), |before| Arc::clone(&before.path));
        (!path.is_empty()).then(|| ImageReference { path: path_of(), index })
    }
}

impl Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{index:06}@{}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// What a path in a list is relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: the path is absolute.
    Absolute,
    /// The project directory that the caller gave.
    Project(PathBuf),
    /// The directory of the list.
    List(PathBuf),
    /// A directory above that of the list.
    Above(PathBuf),
}

impl Base {
    fn directory(&self) -> &Path {
        match self {
            Base::Absolute => Path::new(""),
            Base::Project(directory) | Base::List(directory) | Base::Above(directory) => directory,
        }
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory().display();
        match self {
            Base::Absolute => f.write_str("nothing (absolute paths)"),
            Base::Project(_) => write!(f, "the project directory {directory}"),
            Base::List(_) => write!(f, "the directory of the list, {directory}"),
            Base::Above(_) => write!(f, "{directory}, above the list"),
        }
    }
}

/// The files of the images of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The file of each particle.
    pub paths: Vec<Arc<Path>>,
    /// What the paths in the list are relative to, and for how many particles. More than one deserves a warning.
    pub bases: Vec<(Base, usize)>,
}

/// Directories to look in.
pub(super) struct Places {
    bases: Vec<Base>,
    /// Index of the base that served last: one list should need only one.
    last: usize,
}

impl Places {
    pub(super) fn new(list: &Path, project: Option<&Path>) -> Places {
        let mut bases = vec![Base::Absolute];
        bases.extend(project.map(|project| Base::Project(project.to_owned())));
        // The working directory may be gone; then only what the path itself says is left to try.
        let list = std::path::absolute(list).unwrap_or_else(|_| list.to_owned());
        let mut above = list.ancestors().skip(1).map(Path::to_owned);
        bases.extend(above.next().map(Base::List));
        bases.extend(above.map(Base::Above));
        Places { bases, last: 0 }
    }

    /// The file that `stated` names, and what it is relative to; otherwise the paths that were tried, in words.
    pub(super) fn find(&mut self, stated: &str) -> Result<(PathBuf, Base), String> {
        let is_absolute = Path::new(stated).is_absolute();
        let fits = |base: &Base| (*base == Base::Absolute) == is_absolute;
        let order = std::iter::once(self.last).chain(0..self.bases.len());
        for index in order.filter(|&index| fits(&self.bases[index])) {
            let path = self.bases[index].directory().join(stated);
            if path.is_file() {
                self.last = index;
                return Ok((path, self.bases[index].clone()));
            }
        }
        let tried = self.bases.iter().filter(|base| fits(base));
        let tried = tried.map(|base| base.directory().join(stated).display().to_string());
        Err(tried.collect::<Vec<_>>().join(", "))
    }
}

/// Finds the files of all images that the file `list` names, in its order.
pub(crate) fn find<'a>(
    list: &Path,
    images: impl ExactSizeIterator<Item = Option<&'a ImageReference>>,
    project: Option<&Path>,
) -> Result<Images> {
    let n = images.len();
    let mut places = Places::new(list, project);
    let mut found = Images { paths: Vec::with_capacity(n), bases: Vec::new() };
    let mut missing: Option<(usize, &str, String)> = None;
    let mut n_missing = 0;
    // Stacks are named by many particles in a row.
    let mut last: Option<(&str, Arc<Path>, Base)> = None;
    for (row, image) in images.enumerate() {
        let Some(image) = image else {
            let message = format!(
                "particle {} has no image: the list names none, or numbers them and their folder \
                 must be given",
                row + 1
            );
            return Err(Error::new(ErrorKind::Invalid, list, message));
        };
        if last.as_ref().is_none_or(|(stated, ..)| **stated != *image.path) {
            match places.find(&image.path) {
                Ok((path, base)) => last = Some((&image.path, path.into(), base)),
                Err(tried) => {
                    n_missing += 1;
                    missing.get_or_insert((row, &image.path, tried));
                    last = None;
                }
            }
        }
        let Some((_, path, base)) = &last else { continue };
        found.paths.push(Arc::clone(path));
        match found.bases.iter_mut().find(|(other, _)| other == base) {
            Some((_, n)) => *n += 1,
            None => found.bases.push((base.clone(), 1)),
        }
    }
    let Some((row, stated, tried)) = missing else { return Ok(found) };
    let mut message = format!("the image of particle {} is not there: no {tried}", row + 1);
    if n_missing > 1 {
        message += &format!("; {n_missing} of {n} images are missing");
    }
    if project.is_none() && Path::new(stated).is_relative() {
        message += "; if paths are relative to a project directory, name it";
    }
    Err(Error::new(ErrorKind::Io, list, message))
}
