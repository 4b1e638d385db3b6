//! Writing new Dynamo tables, row by row.

use std::path::Path;

use crate::{error::Result, whole::Replacement};

/// Columns of a row: those up to `apix`.
const N_COLUMNS: usize = 36;

/// A particle of a new table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewParticle {
    /// Number of its tomogram, from 1 on.
    pub tomogram: usize,
    /// `[z, y, x]` in voxels, counted from 0 at the centre of the first voxel; Dynamo's 1 is added.
    pub position: [f64; 3],
    /// Its score: Dynamo's cross correlation, column 10.
    pub score: Option<f64>,
    /// Its class, from 1 on; 0 = none.
    pub class: u32,
    /// Edge of a voxel in angstrom; 0 = unknown.
    pub voxel_size: f64,
}

/// Writes a Dynamo table row by row. Tags count from 1; particles are neither aligned nor averaged; what is not known
/// is 0. Nothing is at the path before `finish`, or what was there.
#[derive(Debug)]
pub struct DynamoWriter {
    file: Replacement,
    n_rows: usize,
}

impl DynamoWriter {
    /// Starts a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<DynamoWriter> {
        Ok(DynamoWriter { file: Replacement::create(path)?, n_rows: 0 })
    }

    /// Appends a particle.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn push(&mut self, particle: &NewParticle) -> Result<()> {
        self.n_rows += 1;
        let mut row = [0.0; N_COLUMNS];
        let [z, y, x] = particle.position.map(|along| along + 1.0);
        let values = [
            (super::TAG, self.n_rows as f64),
            (super::SCORE, particle.score.unwrap_or(0.0)),
            (super::TOMOGRAM, particle.tomogram as f64),
            (super::CLASS, f64::from(particle.class)),
            (super::X, x),
            (super::Y, y),
            (super::Z, z),
            (super::APIX, particle.voxel_size),
        ];
        for (column, value) in values {
            row[column.number - 1] = value;
        }
        let line = row.map(|value| value.to_string()).join(" ") + "\n";
        self.file.append(line.as_bytes())
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<()> {
        self.file.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::particle_list::{Folders, ParticleFile};

    #[test]
    fn tables_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picks.tbl");
        let mut writer = DynamoWriter::create(&path).unwrap();
        let particle = NewParticle {
            tomogram: 7,
            position: [1.5, 20.0, 0.25],
            score: Some(3.5),
            class: 2,
            voxel_size: 13.48,
        };
        writer.push(&particle).unwrap();
        writer.push(&NewParticle { score: None, class: 0, ..particle }).unwrap();
        writer.finish().unwrap();
        let file = ParticleFile::open(&path, Folders::default()).unwrap();
        let read = &file.list().particles[0];
        assert_eq!(read.position, Some([2.5, 21.0, 1.25]));
        assert_eq!((read.class, read.voxel_size), (Some(2), 13.48));
        assert_eq!(file.list().tomograms, ["7"]);
        let text = std::fs::read_to_string(&path).unwrap();
        let cells: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
        assert_eq!((cells.len(), cells[9]), (36, "3.5"));
        assert_eq!(text.lines().count(), 2);
    }
}
