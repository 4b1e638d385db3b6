//! Optics groups, and where a list states the voxel size.

use std::collections::HashMap;

use super::positive;
use crate::{
    error::{Error, Result},
    star::{Row, Star, Table, Value},
};

const GROUP: &str = "rlnOpticsGroup";

/// Sign of the particles: a column of ours.
const CONTRAST: &str = "cinetomoContrast";

/// Sizes that differ by more than this are not the same; what is written has five or six digits.
const TOLERANCE: f64 = 0.01;

/// What an optics group says of its images.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub number: i64,
    /// Angstrom.
    pub voxel_size: Option<f64>,
    /// Angstrom: of the images of the tilt series, whose pixels positions count since RELION 4.
    tilt_series_voxel_size: Option<f64>,
    pub dimension: Option<i64>,
    pub is_ctf_premultiplied: bool,
    is_dark: Option<bool>,
}

/// The optics groups of a list.
#[derive(Debug)]
pub(super) struct Optics {
    groups: HashMap<i64, Group>,
    /// The column that voxel sizes come from, or how they are computed.
    voxel_size: Option<&'static str>,
}

impl Optics {
    /// Reads `data_optics`, if there is one.
    pub fn read(star: &Star) -> Result<Option<Optics>> {
        let Some(table) = star.table("optics")? else { return Ok(None) };
        let Some(number) = table.column(GROUP) else {
            let message = format!("data_optics has no column {GROUP}");
            return Err(Error::format(star.path(), message));
        };
        let image = table.column("rlnImagePixelSize");
        let tilt_series = table.column("rlnTomoTiltSeriesPixelSize");
        let binning = table.column("rlnTomoSubtomogramBinning");
        let dimension = table.column("rlnImageDimensionality");
        let contrast = table.column(CONTRAST);
        let premultiplied = table.column("rlnCtfDataAreCtfPremultiplied");
        let voxel_size = match (image, tilt_series, binning) {
            (Some(_), ..) => Some("rlnImagePixelSize of the optics group"),
            (None, Some(_), Some(_)) => {
                Some("rlnTomoTiltSeriesPixelSize * rlnTomoSubtomogramBinning of the optics group")
            }
            _ => None,
        };
        let mut groups = HashMap::new();
        for row in table.rows() {
            let integer = |column: Option<usize>| column.map(|c| row.get(c).integer()).transpose();
            let size = match (image, tilt_series, binning) {
                (Some(image), ..) => Some(positive(&row, image)?),
                (None, Some(size), Some(binning)) => {
                    Some(positive(&row, size)? * positive(&row, binning)?)
                }
                _ => None,
            };
            let group = Group {
                number: row.get(number).integer()?,
                voxel_size: size,
                tilt_series_voxel_size: tilt_series
                    .map(|column| positive(&row, column))
                    .transpose()?,
                dimension: integer(dimension)?,
                is_ctf_premultiplied: integer(premultiplied)?.is_some_and(|flag| flag != 0),
                is_dark: contrast.map(|column| read_contrast(row.get(column))).transpose()?,
            };
            if groups.insert(group.number, group).is_some() {
                return Err(row.get(number).error("this optics group is there twice"));
            }
        }
        Ok(Some(Optics { groups, voxel_size }))
    }

    /// Voxel size of the tilt series, if all groups say the same.
    pub fn tilt_series_voxel_size(&self) -> Option<f64> {
        let mut sizes = self.groups.values().map(|group| group.tilt_series_voxel_size);
        let first = sizes.next()??;
        sizes.all(|size| size == Some(first)).then_some(first)
    }

    /// Whether particles are dark, if all groups say the same.
    pub fn is_dark(&self) -> Option<bool> {
        let mut groups = self.groups.values();
        let first = groups.next()?.is_dark;
        if groups.all(|group| group.is_dark == first) { first } else { None }
    }
}

fn read_contrast(value: Value<'_>) -> Result<bool> {
    match value.text()? {
        "dark" => Ok(true),
        "bright" => Ok(false),
        other => Err(value.error(format_args!("{other:?}; expected dark or bright"))),
    }
}

/// Where a list states voxel sizes.
#[derive(Debug)]
pub(super) struct VoxelSize<'a> {
    optics: Option<(&'a Optics, Which)>,
    source: Source,
}

/// How a particle says which optics group it belongs to.
#[derive(Clone, Copy, Debug)]
enum Which {
    Column(usize),
    /// It does not, but there is only one.
    Only,
}

#[derive(Debug)]
enum Source {
    Group(&'static str),
    /// Detector's pixel in micrometre over magnification: 3.0's way.
    Magnification {
        detector: usize,
        magnification: usize,
    },
    /// Angstrom in a column of the particles.
    Column(usize, &'static str),
    Unknown,
}

impl<'a> VoxelSize<'a> {
    /// The best source that the list has: the optics group, then the magnification, then a column of the particles.
    pub fn find(
        table: Table<'_>,
        optics: Option<&'a Optics>,
        notes: &mut Vec<String>,
    ) -> VoxelSize<'a> {
        let which = table.column(GROUP).map(Which::Column);
        let optics = match (optics, which) {
            (Some(optics), Some(which)) => Some((optics, which)),
            (Some(optics), None) if optics.groups.len() == 1 => Some((optics, Which::Only)),
            (Some(_), None) => {
                notes.push(format!("particles do not say their {GROUP}: data_optics is of no use"));
                None
            }
            (None, Some(_)) => {
                notes.push(format!("particles have an {GROUP}, but there is no data_optics"));
                None
            }
            (None, None) => None,
        };
        let source = optics.and_then(|(optics, _)| optics.voxel_size).map(Source::Group);
        let source = source.or_else(|| of_particles(table)).unwrap_or(Source::Unknown);
        if matches!(source, Source::Unknown) {
            notes.push("the list does not state the voxel size".to_owned());
        }
        VoxelSize { optics, source }
    }

    /// The column that the sizes come from, or how they are computed.
    pub fn column(&self) -> Option<String> {
        match self.source {
            Source::Group(source) => Some(source.to_owned()),
            Source::Magnification { .. } => {
                Some("rlnDetectorPixelSize * 10000 / rlnMagnification".to_owned())
            }
            Source::Column(_, label) => Some(label.to_owned()),
            Source::Unknown => None,
        }
    }

    /// The optics group of a particle.
    pub fn group(&self, row: &Row<'_>) -> Result<Option<&'a Group>> {
        match self.optics {
            None => Ok(None),
            Some((optics, Which::Only)) => Ok(optics.groups.values().next()),
            Some((optics, Which::Column(column))) => {
                let value = row.get(column);
                let number = value.integer()?;
                let missing = || value.error(format_args!("data_optics has no group {number}"));
                optics.groups.get(&number).map(Some).ok_or_else(missing)
            }
        }
    }

    /// The voxel size of a particle in angstrom; 0 = unknown.
    pub fn read(&self, row: &Row<'_>, group: Option<&Group>) -> Result<f64> {
        match self.source {
            Source::Group(_) => Ok(group.and_then(|group| group.voxel_size).unwrap_or(0.0)),
            Source::Magnification { detector, magnification } => {
                Ok(positive(row, detector)? * 1e4 / positive(row, magnification)?)
            }
            Source::Column(column, _) => positive(row, column),
            Source::Unknown => Ok(0.0),
        }
    }

    /// A comparison with the particles' own `rlnPixelSize`, where that is not the source.
    pub fn check(&self, table: Table<'_>) -> Check {
        let is_source = matches!(self.source, Source::Column(..) | Source::Unknown);
        let column = table.column("rlnPixelSize").filter(|_| !is_source);
        Check { column, source: self.column(), n_different: 0, first: None }
    }
}

fn of_particles(table: Table<'_>) -> Option<Source> {
    let detector = table.column("rlnDetectorPixelSize");
    if let (Some(detector), Some(magnification)) = (detector, table.column("rlnMagnification")) {
        return Some(Source::Magnification { detector, magnification });
    }
    let by_label = |label| Some(Source::Column(table.column(label)?, label));
    // pytom-match-pick writes angstrom there, for the tomogram that it searched.
    let pytom = || {
        table.column("rlnLCCmax")?;
        ["rlnDetectorPixelSize", "rlnTomoTiltSeriesPixelSize"].into_iter().find_map(by_label)
    };
    ["rlnImagePixelSize", "rlnPixelSize"].into_iter().find_map(by_label).or_else(pytom)
}

/// Whether two statements of the voxel size agree.
#[derive(Debug)]
pub(super) struct Check {
    column: Option<usize>,
    source: Option<String>,
    n_different: usize,
    /// Line, what `rlnPixelSize` says, what is used.
    first: Option<(usize, f64, f64)>,
}

impl Check {
    pub fn compare(&mut self, row: &Row<'_>, used: f64) -> Result<()> {
        let Some(column) = self.column else { return Ok(()) };
        let value = row.get(column);
        let stated = value.number()?;
        if (stated - used).abs() > TOLERANCE * used {
            self.n_different += 1;
            self.first.get_or_insert_with(|| (value.line_number(), stated, used));
        }
        Ok(())
    }

    pub fn note(&self) -> Option<String> {
        let (line, stated, used) = self.first?;
        let (n, source) = (self.n_different, self.source.as_deref()?);
        Some(format!(
            "{n} particles state two voxel sizes, first in line {line}: rlnPixelSize {stated}, but \
             {used} by {source}; the latter is used"
        ))
    }
}
