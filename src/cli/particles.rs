//! Particles with their positions in tomograms, from a list of any program.

mod csv_file;
mod shifts;

use std::path::{Path, PathBuf};

use cinetomo_formats::{
    particle_list::{Columns, Dialect, Folders, ParticleFile, PositionUnit},
    star::Star,
};
use clap::Args;
use csv::StringRecord;

use self::shifts::Shifts;
use crate::{
    console::Console,
    failure::{Failure, Result},
    outputs::extension,
    tomogram::OpenTomogram,
};

/// Columns that are not carried over: those that are written anew, and those that are true of other images only.
const NOT_CARRIED: [&str; 14] = [
    "rlnMicrographName",
    "rlnImageName",
    "rlnOpticsGroup",
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnCoordinateZ",
    "rlnCenteredCoordinateXAngst",
    "rlnCenteredCoordinateYAngst",
    "rlnCenteredCoordinateZAngst",
    "rlnCtfImage",
    "rlnPixelSize",
    "rlnImagePixelSize",
    "rlnDetectorPixelSize",
    "rlnMagnification",
];

/// How positions of a list are understood.
#[derive(Args, Clone, Debug)]
pub struct PositionArgs {
    /// Edge in angstrom of the voxels that positions count; by default as the list says (RELION from 4 on: the pixels of
    /// the tilt series), or else the tomogram's
    #[arg(long, value_name = "ANGSTROM")]
    pub position_voxel_size: Option<f64>,
    /// Take positions as they stand, without the shifts that a refinement found; these are carried over
    #[arg(long)]
    pub ignore_shifts: bool,
}

impl PositionArgs {
    /// Fails if the voxel size is none.
    pub fn check(&self) -> Result<()> {
        match self.position_voxel_size {
            Some(size) if !(size.is_finite() && size > 0.0) => Err(Failure::Usage(format!(
                "--position-voxel-size {size}: expected a positive number of angstrom"
            ))),
            _ => Ok(()),
        }
    }
}

/// Sizes that differ by no more are the same: lists have five or six digits.
const TOLERANCE: f64 = 1e-3;

/// Particles with positions.
#[derive(Debug)]
pub struct Particles {
    path: PathBuf,
    /// As the list has them, `[z, y, x]`.
    positions: Vec<[f64; 3]>,
    /// What is to be added to them, if anything is.
    shifts: Option<Shifts>,
    /// Edge in angstrom of the voxels that positions count, if somebody says it.
    position_voxel_size: Option<f64>,
    /// Index of each particle's tomogram among the names.
    tomograms: Vec<Option<usize>>,
    names: Vec<String>,
    /// The list counts voxels from this number on; nothing = angstrom from the centre.
    first_voxel: Option<f64>,
    rest: Rest,
}

/// What the list says besides.
#[derive(Debug)]
enum Rest {
    Nothing,
    /// Columns of a table of a STAR file.
    Star {
        star: Star,
        table: usize,
        columns: Vec<usize>,
        labels: Vec<String>,
    },
    /// Columns of a CSV file.
    Csv {
        rows: Vec<StringRecord>,
        columns: Vec<usize>,
        labels: Vec<String>,
    },
}

impl Particles {
    /// Reads a list: STAR, Dynamo, or CSV with the columns z, y, x and maybe tomogram.
    ///
    /// # Errors
    /// It cannot be read, or has no positions.
    pub fn read(path: &Path, args: &PositionArgs, console: &Console) -> Result<Particles> {
        args.check()?;
        if extension(path) == "csv" {
            return csv_file::read(path, args, console);
        }
        let file = ParticleFile::open(path, Folders::default())?;
        let list = file.list();
        let Some(unit) = list.position_unit else {
            return Err(Failure::at(path, "the list has no positions"));
        };
        let positions = list.particles.iter().enumerate().map(|(index, particle)| {
            particle
                .position
                .ok_or_else(|| Failure::at(path, format!("particle {} has no position", index + 1)))
        });
        let first_voxel = match (unit, list.dialect) {
            (PositionUnit::CentredAngstrom, _) => None,
            // Both count as Matlab does.
            (PositionUnit::Voxel, Dialect::Dynamo | Dialect::Stopgap) => Some(1.0),
            (PositionUnit::Voxel, _) => Some(0.0),
        };
        if let (None, Some(size)) = (first_voxel, args.position_voxel_size) {
            return Err(Failure::Usage(format!(
                "--position-voxel-size {size}: the positions of {} are in angstrom",
                path.display()
            )));
        }
        let positions = positions.collect::<Result<_>>()?;
        let shifts = Shifts::of(list, args, console);
        let mut particles = Particles {
            path: path.to_owned(),
            positions,
            position_voxel_size: args.position_voxel_size.or(list.position_voxel_size),
            tomograms: list.particles.iter().map(|particle| particle.tomogram).collect(),
            names: list.tomograms.clone(),
            first_voxel,
            rest: Rest::Nothing,
            shifts,
        };
        let Columns { position, shift, .. } = list.columns.clone();
        // Applied twice, a shift would be wrong.
        let applied = if particles.shifts.is_some() { shift } else { Vec::new() };
        if let (Some([z, ..]), Some(star)) = (position, file.into_star()) {
            particles.rest = Rest::of_star(star, &z, &applied);
        }
        Ok(particles)
    }

    /// Number of particles.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Where particles are in their tomogram: `[z, y, x]` in its voxels, from 0 at the centre of the first.
    ///
    /// # Errors
    /// Positions or shifts are in angstrom, or voxels of a size that was asked for, and the tomogram's voxel size is
    /// unknown.
    pub fn positions(
        &self,
        indices: &[usize],
        tomogram: &OpenTomogram,
        console: &Console,
    ) -> Result<Vec<[f32; 3]>> {
        let size = tomogram.voxel_size();
        let in_angstrom = if self.first_voxel.is_none() {
            Some("positions are")
        } else if self.shifts.as_ref().is_some_and(|shifts| shifts.are_in_angstrom()) {
            Some("refined shifts (--ignore-shifts leaves them out) are")
        } else {
            None
        };
        if let (Some(what), 0.0) = (in_angstrom, size) {
            let name = tomogram.name();
            let message = format!(
                "{what} in angstrom, and the voxel size of {name} is unknown; say it with --voxel-size"
            );
            return Err(Failure::at(&self.path, message));
        }
        let scale = self.scale(tomogram, console);
        let shape = tomogram.shape();
        let place = |&index: &usize| {
            let stated = self.positions[index];
            let shift =
                self.shifts.as_ref().map_or([0.0; 3], |shifts| shifts.voxels(index, scale, size));
            [0, 1, 2].map(|axis| {
                let place = match self.first_voxel {
                    Some(first) => (stated[axis] - first) * scale,
                    None => stated[axis] / size + shape[axis] as f64 / 2.0,
                };
                (place + shift[axis]) as f32
            })
        };
        Ok(indices.iter().map(place).collect())
    }

    /// The edge of a voxel that positions count, over that of the tomogram's.
    fn scale(&self, tomogram: &OpenTomogram, console: &Console) -> f64 {
        let (Some(stated), Some(_)) = (self.position_voxel_size, self.first_voxel) else {
            return 1.0;
        };
        let (size, name, list) = (tomogram.voxel_size(), tomogram.name(), self.path.display());
        if size == 0.0 {
            console.warn(format!(
                "{list}: positions count voxels of {stated} angstrom; the voxel size of {name} is unknown \
                 (--voxel-size) and taken for the same"
            ));
            return 1.0;
        }
        if (stated / size - 1.0).abs() > TOLERANCE {
            console.info(format!(
                "{list}: positions count voxels of {stated} angstrom, those of {name} have {size}"
            ));
        }
        stated / size
    }

    /// Which particles are in which of these tomograms: those whose name in the list is that of the file, apart from
    /// directories and endings. Without files, the names in the list are the files. Each file comes with the indices
    /// of its particles, in the order of the list.
    ///
    /// # Errors
    /// A name fits no file or several, or a file has no particles.
    pub fn by_tomogram(
        &self,
        files: &[PathBuf],
        console: &Console,
    ) -> Result<Vec<(PathBuf, Vec<usize>)>> {
        let of = |name: Option<usize>| -> Vec<usize> {
            (0..self.len()).filter(|&index| self.tomograms[index] == name).collect()
        };
        if let ([file], 0 | 1) = (files, self.names.len()) {
            if let [name] = &self.names[..]
                && !fits(name, file)
            {
                console.warn(format!(
                    "{} lists particles of {name}; they are taken for those of {}",
                    self.path.display(),
                    file.display()
                ));
            }
            return Ok(vec![(file.clone(), (0..self.len()).collect())]);
        }
        if self.names.is_empty() || self.tomograms.contains(&None) {
            let message = "does not say which tomogram each particle is in; name one tomogram";
            return Err(Failure::at(&self.path, message));
        }
        if files.is_empty() {
            let found = self.names.iter().enumerate().map(|(index, name)| {
                let beside = self.path.parent().unwrap_or(Path::new("")).join(name);
                let found = [PathBuf::from(name), beside].into_iter().find(|path| path.is_file());
                let file = found.ok_or_else(|| {
                    let message =
                        format!("there is no file {name}; name the tomograms with --input");
                    Failure::at(&self.path, message)
                })?;
                Ok((file, of(Some(index))))
            });
            return found.collect();
        }
        let mut found: Vec<(PathBuf, Vec<usize>)> = Vec::new();
        for file in files {
            let names = self.names.iter().enumerate().filter(|(_, name)| fits(name, file));
            let indices: Vec<usize> = names.map(|(index, _)| index).collect();
            match indices[..] {
                [index] => found.push((file.clone(), of(Some(index)))),
                [] => {
                    let known = self.names.join(", ");
                    let message =
                        format!("{} lists no particles of it, but of {known}", self.path.display());
                    return Err(Failure::at(file, message));
                }
                _ => {
                    let names: Vec<&str> =
                        indices.iter().map(|&index| self.names[index].as_str()).collect();
                    let message = format!("could be any of {}", names.join(", "));
                    return Err(Failure::at(file, message));
                }
            }
        }
        let n: usize = found.iter().map(|(_, indices)| indices.len()).sum();
        if n < self.len() {
            console.warn(format!(
                "{}: {} of {} particles are in other tomograms than the {} that are named",
                self.path.display(),
                self.len() - n,
                self.len(),
                files.len()
            ));
        }
        Ok(found)
    }

    /// Labels of the columns that are carried over.
    pub fn labels(&self) -> &[String] {
        match &self.rest {
            Rest::Nothing => &[],
            Rest::Star { labels, .. } | Rest::Csv { labels, .. } => labels,
        }
    }

    /// What those columns say of a particle.
    ///
    /// # Errors
    /// A value is not UTF-8.
    pub fn values(&self, index: usize) -> Result<Vec<String>> {
        match &self.rest {
            Rest::Nothing => Ok(Vec::new()),
            Rest::Csv { rows, columns, .. } => {
                Ok(columns.iter().map(|&column| rows[index][column].to_owned()).collect())
            }
            Rest::Star { star, table, columns, .. } => {
                // It was there when the list was read.
                let Some(table) = star.tables().nth(*table) else { return Ok(Vec::new()) };
                let row = table.row(index);
                let values = columns.iter().map(|&column| Ok(row.get(column).text()?.to_owned()));
                values.collect()
            }
        }
    }
}

impl Rest {
    /// What the table that has this column says besides, but for shifts that are applied.
    fn of_star(star: Star, position: &str, applied: &[String]) -> Rest {
        let has = star.tables().position(|table| table.column(position).is_some());
        let Some(index) = has else { return Rest::Nothing };
        // It was found just now.
        let Some(table) = star.tables().nth(index) else { return Rest::Nothing };
        let (columns, labels) = table
            .labels()
            .map(str::to_owned)
            .enumerate()
            .filter(|(_, label)| !NOT_CARRIED.contains(&label.as_str()) && !applied.contains(label))
            .unzip();
        Rest::Star { star, table: index, columns, labels }
    }
}

/// Whether a tomogram's name in a list means this file: equal, apart from directories and endings, or with more behind
/// it in the file's name (Warp: `TS_01.tomostar` and `TS_01_10.00Apx.mrc`).
fn fits(name: &str, file: &Path) -> bool {
    let plain = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (name, file_name) = (Path::new(name), plain(file));
    let (whole, stem_of_name) = (plain(name), stem(name));
    let goes_on = |start: &str| {
        !start.is_empty()
            && file_name.strip_prefix(start).is_some_and(|rest| rest.starts_with(['_', '.', '-']))
    };
    whole == file_name || goes_on(&whole) || goes_on(&stem_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_lists_mean_files() {
        for (name, file, expected) in [
            ("TS_01.mrc", "rec/TS_01.mrc", true),
            ("old/TS_01.mrc", "rec/TS_01.mrc", true),
            ("TS_01", "TS_01.mrc", true),
            ("TS_01.tomostar", "TS_01_10.00Apx.mrc", true),
            ("TS_1", "TS_10.mrc", false),
            ("TS_01.mrc", "TS_02.mrc", false),
            ("", "TS_02.mrc", false),
        ] {
            assert_eq!(fits(name, Path::new(file)), expected, "{name} {file}");
        }
    }
}
