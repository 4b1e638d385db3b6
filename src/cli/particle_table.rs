//! Particles written into new lists, row by row: STAR, CSV or Dynamo by the extension.

use std::path::{Component, Path, PathBuf};

use cinetomo_formats::{
    csv::TableWriter,
    dynamo::{DynamoWriter, NewParticle},
    star::StarWriter,
};

use crate::{
    boxes::Contrast,
    failure::{Failure, Result},
    outputs::extension,
};

/// What a list tells of all its particles.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Edge in angstrom of the voxels of the boxes, or where there are none, of the tomogram; 0 = unknown.
    pub voxel_size: f64,
    /// Edge of the boxes in voxels, where there are boxes.
    pub box_size: Option<usize>,
    /// Sign of the particles in the boxes.
    pub contrast: Contrast,
    /// Whether there are scores of picking.
    pub has_scores: bool,
    /// Whether there are classes.
    pub has_classes: bool,
    /// Labels of other columns of the STAR file, and of the CSV file.
    pub others: [Vec<String>; 2],
}

/// A particle.
#[derive(Clone, Debug, Default)]
pub struct Row<'a> {
    /// Its tomogram.
    pub tomogram: &'a str,
    /// Number of the tomogram, from 1 on.
    pub tomogram_number: usize,
    /// `[z, y, x]` in voxels of the tomogram, from 0 at the centre of the first.
    pub position: [f32; 3],
    /// Its image, where there are boxes.
    pub image: Option<&'a str>,
    /// Its score.
    pub score: Option<f32>,
    /// Its class, from 1 on, with its name; nothing = none was given.
    pub class: Option<(u32, &'a str)>,
    /// Values of the other columns.
    pub others: &'a [String],
}

/// A list that is being written. Nothing is at its path before `finish`.
#[derive(Debug)]
pub struct ParticleTable {
    file: File,
    about: About,
}

#[derive(Debug)]
enum File {
    Star(StarWriter),
    Csv(TableWriter),
    Dynamo(DynamoWriter),
}

impl ParticleTable {
    /// Fails if the extension is that of no list.
    pub fn check(path: &Path) -> Result<()> {
        match extension(path).as_str() {
            "star" | "csv" | "tbl" => Ok(()),
            other => Err(Failure::Usage(format!(
                "{}: .{other} is no format of particle lists; expected .star, .csv or .tbl",
                path.display()
            ))),
        }
    }

    /// Starts a list.
    ///
    /// # Errors
    /// The extension is that of no list, or the file cannot be written.
    pub fn create(path: &Path, about: &About) -> Result<ParticleTable> {
        ParticleTable::check(path)?;
        let file = match extension(path).as_str() {
            "star" => File::Star(start_star(path, about)?),
            "csv" => {
                let mut header: Vec<&str> = Vec::new();
                header.extend(about.box_size.map(|_| "path"));
                header.extend(["tomogram", "z", "y", "x"]);
                header.extend(about.has_scores.then_some("score"));
                header.extend(about.has_classes.then_some("label"));
                header.extend(about.others[1].iter().map(String::as_str));
                File::Csv(TableWriter::create(path, &header)?)
            }
            _ => File::Dynamo(DynamoWriter::create(path)?),
        };
        Ok(ParticleTable { file, about: about.clone() })
    }

    /// Appends a particle.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn push(&mut self, row: &Row<'_>) -> Result<()> {
        let About { voxel_size, box_size, has_scores, has_classes, .. } = self.about;
        let [z, y, x] = row.position.map(|along| format!("{along:.3}"));
        let score =
            has_scores.then(|| row.score.map(|score| score.to_string()).unwrap_or_default());
        let image = box_size.map(|_| row.image.unwrap_or_default().to_owned());
        match &mut self.file {
            File::Star(star) => {
                let mut values = vec![row.tomogram.to_owned(), x, y, z, "1".to_owned()];
                values.extend(image);
                values.extend(score);
                let class = || row.class.map_or(0, |(number, _)| number).to_string();
                values.extend(has_classes.then(class));
                values.extend_from_slice(row.others);
                star.push(&values)?;
            }
            File::Csv(table) => {
                let mut values: Vec<String> = Vec::new();
                values.extend(image);
                values.extend([row.tomogram.to_owned(), z, y, x]);
                values.extend(score);
                let label = || row.class.map_or(String::new(), |(_, name)| name.to_owned());
                values.extend(has_classes.then(label));
                values.extend_from_slice(row.others);
                table.push(&values)?;
            }
            File::Dynamo(table) => table.push(&NewParticle {
                tomogram: row.tomogram_number,
                // As in the other lists: a thousandth of a voxel.
                position: row.position.map(|along| (f64::from(along) * 1e3).round() / 1e3),
                score: row.score.map(f64::from),
                class: row.class.map_or(0, |(number, _)| number),
                voxel_size,
            })?,
        }
        Ok(())
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<()> {
        match self.file {
            File::Star(star) => star.finish()?,
            File::Csv(table) => table.finish()?,
            File::Dynamo(table) => table.finish()?,
        }
        Ok(())
    }
}

/// In the way of RELION 3.1: an optics group, and the particles with positions in voxels of their tomogram.
fn start_star(path: &Path, about: &About) -> Result<StarWriter> {
    let mut star = StarWriter::create(path)?;
    let mut optics = vec![("rlnOpticsGroup", "1".to_owned())];
    optics.push(("rlnOpticsGroupName", "opticsGroup1".to_owned()));
    if about.voxel_size > 0.0 {
        optics.push(("rlnImagePixelSize", format!("{:.6}", about.voxel_size)));
    }
    if let Some(box_size) = about.box_size {
        optics.push(("rlnImageSize", box_size.to_string()));
        optics.push(("rlnImageDimensionality", "3".to_owned()));
        match about.contrast {
            Contrast::Unknown => {}
            Contrast::Dark => optics.push(("cinetomoContrast", "dark".to_owned())),
            Contrast::Bright => optics.push(("cinetomoContrast", "bright".to_owned())),
        }
    }
    let (labels, values): (Vec<&str>, Vec<String>) = optics.into_iter().unzip();
    star.table("optics", &labels)?;
    star.push(&values)?;
    let mut labels =
        vec!["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ"];
    labels.push("rlnOpticsGroup");
    labels.extend(about.box_size.map(|_| "rlnImageName"));
    labels.extend(about.has_scores.then_some("rlnAutopickFigureOfMerit"));
    labels.extend(about.has_classes.then_some("rlnClassNumber"));
    labels.extend(about.others[0].iter().map(String::as_str));
    star.table("particles", &labels)?;
    Ok(star)
}

/// A path as it stands in a list: as it was typed, relative to where the run began, as RELION's are to its project; but
/// absolute where it leads upwards, so that it can be found from the list.
pub fn listed(path: &Path) -> String {
    if path.components().any(|part| part == Component::ParentDir) {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return absolute.display().to_string();
    }
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_lists_are_as_typed_without_steps_in_place_and_never_lead_upwards() {
        assert_eq!(listed(Path::new("./a/./b.mrc")), "a/b.mrc");
        assert_eq!(listed(Path::new("/a/b.mrc")), "/a/b.mrc");
        assert!(listed(Path::new("../b.mrc")).starts_with('/'));
    }
}
