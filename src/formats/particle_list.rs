//! One reading of a particle list, whatever program wrote it, and its writing back with classes.
//!
//! Only what classification needs is understood: which image, which tomogram, which class so far, what voxel size.
//! Geometry is read and never written: positions as they stand in the file, refined shifts with the sign that adds to them. Everything else in the file is kept byte for byte.

pub(crate) mod images;
mod numbered;
mod relion;

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::{self, Display},
    path::{Path, PathBuf},
};

use self::images::Places;
pub use self::images::{Base, ImageReference, Images};
use crate::{
    dynamo::DynamoTable,
    error::{Error, ErrorKind, Result},
    star::Star,
};

/// Where to look for what a list names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folders<'a> {
    /// RELION's project directory, to which its paths are relative. Without it the directories above the list are
    /// tried.
    pub project: Option<&'a Path>,
    /// The folder of the images, for lists that number them instead of naming them (Dynamo, STOPGAP). Without it the
    /// directory of the list is tried.
    pub data: Option<&'a Path>,
}

/// A particle list as it lies on disk, and what it says.
#[derive(Debug)]
pub struct ParticleFile {
    document: Document,
    list: ParticleList,
}

#[derive(Debug)]
enum Document {
    Star(Star),
    Dynamo(DynamoTable),
}

/// What a particle list says.
#[derive(Clone, Debug)]
pub struct ParticleList {
    /// The file that lists the particles: not the one that was opened if that is an optimisation set.
    pub path: PathBuf,
    /// Which program's conventions it follows.
    pub dialect: Dialect,
    /// The particles in the order of the file: the index of each is that of its row.
    pub particles: Vec<Particle>,
    /// Names of the tomograms, each once, in the order of the file.
    pub tomograms: Vec<String>,
    /// What the positions count.
    pub position_unit: Option<PositionUnit>,
    /// Edge in angstrom of the voxels that positions count, where the list states it apart from its images': RELION's
    /// since 4 are those of the tilt series, whatever binning tomogram and images have.
    pub position_voxel_size: Option<f64>,
    /// What refined shifts count; `None` if the list has none.
    pub shift_unit: Option<ShiftUnit>,
    /// Where all this was read.
    pub columns: Columns,
    /// Whether images have been multiplied by the contrast transfer function, as RELION's pseudo-subtomograms are. A
    /// model that was trained on plain subtomograms sees another signal there.
    pub is_ctf_premultiplied: bool,
    /// Whether particles are darker than their surroundings, where the list says it: `dark` or `bright` in the column
    /// `cinetomoContrast` of all its optics groups, as lists of extracted boxes have it.
    pub is_dark: Option<bool>,
    /// What a user should know: what is missing, doubtful or was chosen among several.
    pub notes: Vec<String>,
}

/// One particle.
#[derive(Clone, Debug, PartialEq)]
pub struct Particle {
    /// Its subtomogram, if the list names or numbers it.
    pub image: Option<ImageReference>,
    /// Index of its tomogram: what training and validation must not share.
    pub tomogram: Option<usize>,
    /// Position `[z, y, x]` in the tomogram as the list states it, without refined shifts.
    pub position: Option<[f64; 3]>,
    /// What refinement found must be added to the position, `[z, y, x]` along the tomogram's axes; 0 where the list has
    /// no shifts.
    pub shift: [f32; 3],
    /// Voxel size of its subtomogram in angstrom; 0 = unknown.
    pub voxel_size: f64,
    /// Its class, as numbered in the file. RELION counts from 1.
    pub class: Option<i64>,
}

/// What positions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionUnit {
    /// Voxels of the tomogram, at the binning that the writing program used; Dynamo's first voxel is 1.
    Voxel,
    /// Angstrom from the centre of the tomogram.
    CentredAngstrom,
}

/// What refined shifts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShiftUnit {
    /// Voxels as those of the positions: Dynamo, STOPGAP.
    Voxel,
    /// Voxels of the particle's image: RELION up to 3.0.
    ImageVoxel,
    /// Angstrom: RELION from 3.1 on.
    Angstrom,
}

/// The columns that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Of the image, or of its number.
    pub image: Option<String>,
    /// Of the tomogram.
    pub tomogram: Option<String>,
    /// Of the position: z, y, x.
    pub position: Option<[String; 3]>,
    /// Of the refined shift: those of z, y, x that there are.
    pub shift: Vec<String>,
    /// Of the voxel size, or how it was computed.
    pub voxel_size: Option<String>,
    /// Of the class.
    pub class: Option<String>,
}

/// Which program's conventions a list follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RELION up to 3.0, Warp 1: one table, pixel size from the magnification.
    Relion30,
    /// RELION 3.1: optics groups.
    Relion31,
    /// RELION 4: named tomograms, pseudo-subtomograms.
    Relion40,
    /// RELION 5, WarpTools: a general table, centred positions.
    Relion50,
    /// STOPGAP's motive list.
    Stopgap,
    /// pytom-match-pick: positions and scores, no images.
    PytomMatchPick,
    /// A Dynamo table.
    Dynamo,
}

impl ParticleFile {
    /// Reads a particle list: a Dynamo table if its name ends in `.tbl`, otherwise a STAR file. An optimisation set
    /// of RELION leads to the list that it names.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, lists no particles, or lists 2D images ([`ErrorKind::Unsupported`]).
    pub fn open(path: &Path, folders: Folders<'_>) -> Result<ParticleFile> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tbl")) {
            return ParticleFile::from_dynamo(DynamoTable::read(path)?, folders);
        }
        let star = Star::read(path)?;
        let Some(named) = relion::particles_file(&star)? else {
            return ParticleFile::from_star(star, folders);
        };
        let (found, base) = Places::new(path, folders.project).find(&named).map_err(|tried| {
            let message = format!("rlnTomoParticlesFile names {named}, but there is no {tried}");
            Error::new(ErrorKind::Io, path, message)
        })?;
        let star = Star::read(&found)?;
        if relion::particles_file(&star)?.is_some() {
            let message = "an optimisation set that names an optimisation set";
            return Err(Error::format(&found, message));
        }
        let mut file = ParticleFile::from_star(star, folders)?;
        let set = path.display();
        file.list.notes.insert(0, format!("{set} names this list, relative to {base}"));
        Ok(file)
    }

    /// What a STAR file says, which must list particles.
    ///
    /// # Errors
    /// As of [`ParticleFile::open`].
    pub fn from_star(star: Star, folders: Folders<'_>) -> Result<ParticleFile> {
        let mut list = match star.table("stopgap_motivelist")? {
            Some(table) => numbered::read_stopgap(&star, table, folders.data)?,
            None => relion::read(&star)?,
        };
        list.notes.splice(0..0, star.notes().iter().cloned());
        Ok(ParticleFile { document: Document::Star(star), list })
    }

    /// What a Dynamo table says.
    ///
    /// # Errors
    /// A value that is needed is not a number, or two particles have one tag.
    pub fn from_dynamo(table: DynamoTable, folders: Folders<'_>) -> Result<ParticleFile> {
        let mut list = numbered::read_dynamo(&table, folders.data)?;
        list.notes.splice(0..0, table.notes().iter().cloned());
        Ok(ParticleFile { document: Document::Dynamo(table), list })
    }

    /// What it says.
    pub fn list(&self) -> &ParticleList {
        &self.list
    }

    /// The STAR file, without what was understood of it; `None` for a Dynamo table.
    pub fn into_star(self) -> Option<Star> {
        match self.document {
            Document::Star(star) => Some(star),
            Document::Dynamo(_) => None,
        }
    }

    /// Writes the list to `path` with changes, and otherwise as it was. The file at `path`, which may be the one that
    /// was read, is replaced as a whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written, or a Dynamo table is to get a column of ours ([`ErrorKind::Unsupported`]).
    pub fn save(&self, path: &Path, changes: &Changes<'_>) -> Result<()> {
        let keep = |row| changes.keep.as_ref().is_none_or(|keep| keep(row));
        match &self.document {
            Document::Dynamo(table) => {
                if let Some((label, _)) = changes.columns.first() {
                    let message = format!(
                        "a Dynamo table has no room for a column {label}; write it to a CSV file"
                    );
                    return Err(Error::new(ErrorKind::Unsupported, path, message));
                }
                table.save(path, changes.class.as_deref(), keep)
            }
            Document::Star(star) => {
                let mut edit = relion::particle_table(star)?.edit();
                if let Some(class) = &changes.class {
                    let stopgap = self.list.dialect == Dialect::Stopgap;
                    edit = edit.set(if stopgap { "class" } else { relion::CLASS }, class)?;
                }
                for (label, value) in &changes.columns {
                    edit = edit.set(label, value)?;
                }
                edit.keep(keep).save(path)
            }
        }
    }
}

/// What to change in a list; rows count from 0 in the order of the file.
#[derive(Default)]
pub struct Changes<'a> {
    class: Option<OfRow<'a, u32>>,
    columns: Vec<(String, OfRow<'a, f32>)>,
    keep: Option<OfRow<'a, bool>>,
}

type OfRow<'a, T> = Box<dyn Fn(usize) -> T + 'a>;

impl<'a> Changes<'a> {
    /// None.
    pub fn new() -> Changes<'a> {
        Changes::default()
    }

    /// Sets the class of each particle in the column of the list's own convention: `rlnClassNumber`, STOPGAP's
    /// `class`, column 22 of a Dynamo table. These count from 1, so that the first of a model's classes is 1, not 0.
    pub fn class(self, class: impl Fn(usize) -> u32 + 'a) -> Changes<'a> {
        Changes { class: Some(Box::new(class)), ..self }
    }

    /// Sets or appends a column of ours, such as the probability of a class. STAR files only.
    pub fn column(mut self, label: &str, value: impl Fn(usize) -> f32 + 'a) -> Changes<'a> {
        self.columns.push((label.to_owned(), Box::new(value)));
        self
    }

    /// Keeps only some particles, as for a share of a large list.
    pub fn keep(self, keep: impl Fn(usize) -> bool + 'a) -> Changes<'a> {
        Changes { keep: Some(Box::new(keep)), ..self }
    }
}

impl fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<&str> = self.columns.iter().map(|(label, _)| label.as_str()).collect();
        let (class, keep) = (self.class.is_some(), self.keep.is_some());
        write!(f, "Changes(class: {class}, columns: {labels:?}, keep: {keep})")
    }
}

impl ParticleList {
    /// Finds the files of all images: absolute paths as they are; others relative to the project directory if one is
    /// given, to the directory of the list, or to a directory above it.
    ///
    /// # Errors
    /// An image is not there (the message says where it was looked for, and how many others are missing), or the list
    /// names no images.
    pub fn find_images(&self, folders: Folders<'_>) -> Result<Images> {
        let images = self.particles.iter().map(|particle| particle.image.as_ref());
        images::find(&self.path, images, folders.project)
    }
}

impl Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::Relion30 => "RELION 3.0 or Warp 1",
            Dialect::Relion31 => "RELION 3.1",
            Dialect::Relion40 => "RELION 4",
            Dialect::Relion50 => "RELION 5 or WarpTools",
            Dialect::Stopgap => "STOPGAP",
            Dialect::PytomMatchPick => "pytom-match-pick",
            Dialect::Dynamo => "Dynamo",
        })
    }
}

/// Names, each once, in the order in which they came.
#[derive(Default)]
struct Names<'a> {
    indices: HashMap<Cow<'a, str>, usize>,
    names: Vec<String>,
}

impl<'a> Names<'a> {
    fn index(&mut self, name: impl Into<Cow<'a, str>>) -> usize {
        let name = name.into();
        if let Some(&index) = self.indices.get(&name) {
            return index;
        }
        let index = self.names.len();
        self.names.push(name.clone().into_owned());
        self.indices.insert(name, index);
        index
    }
}

#[cfg(test)]
#[path = "particle_list/particle_list_test.rs"]
mod particle_list_test;
