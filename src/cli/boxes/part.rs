//! Subtomograms of one input.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

use cinetomo_formats::{
    csv::Labels,
    particle_list::ParticleFile,
    volumes::{self, VolumeSource},
};

use super::Contrast;
use crate::failure::{Failure, Result};

/// Subtomograms of one input.
#[derive(Debug)]
pub struct Part {
    pub(super) path: PathBuf,
    pub(super) shape: [usize; 3],
    pub(super) voxel_size: f64,
    pub(super) boxes: Source,
}

/// Where the boxes of a part are.
#[derive(Debug)]
pub(super) enum Source {
    /// In a stack, an array or a directory.
    Volumes {
        source: Box<dyn VolumeSource>,
        is_directory: bool,
        /// Those of MedMNIST, counted from 0.
        classes: Option<Vec<usize>>,
    },
    /// In the files that a list names.
    Listed {
        list: List,
        files: Vec<Arc<Path>>,
        options: volumes::Options,
        /// The file that was read last: many boxes in a row are of one stack.
        last: RefCell<Option<OpenFile>>,
    },
}

/// A file of a list.
pub(super) type OpenFile = (Arc<Path>, Box<dyn VolumeSource>);

/// A list of images.
#[derive(Debug)]
pub enum List {
    /// Of RELION, Warp, STOPGAP or Dynamo.
    Particles(Box<ParticleFile>),
    /// A CSV file of labels.
    Labels(Labels),
}

impl List {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Particles(file) => file.list().particles.len(),
            List::Labels(labels) => labels.rows.len(),
        }
    }

    /// Which volume of its file image `index` is.
    pub(super) fn volume_index(&self, index: usize) -> usize {
        let number = match self {
            List::Particles(file) => {
                file.list().particles[index].image.as_ref().and_then(|image| image.index)
            }
            List::Labels(labels) => labels.rows[index].image.index,
        };
        // Numbers in lists count from 1.
        number.map_or(0, |number| number as usize - 1)
    }

    /// The image as the list writes it.
    pub(super) fn name(&self, index: usize) -> String {
        match self {
            List::Particles(file) => match &file.list().particles[index].image {
                Some(image) => image.to_string(),
                None => format!("particle {}", index + 1),
            },
            List::Labels(labels) => labels.rows[index].image.to_string(),
        }
    }
}

impl Part {
    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of boxes.
    pub fn len(&self) -> usize {
        match &self.boxes {
            Source::Volumes { source, .. } => source.n_volumes(),
            Source::Listed { list, .. } => list.len(),
        }
    }

    /// Voxels of each box along z, y, x.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Edge of a voxel in angstrom; 0 = unknown.
    pub fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// The list that names the boxes, if there is one.
    pub fn list(&self) -> Option<&List> {
        match &self.boxes {
            Source::Volumes { .. } => None,
            Source::Listed { list, .. } => Some(list),
        }
    }

    /// Sign of the particles, where a list states it.
    pub fn contrast(&self) -> Contrast {
        match self.list() {
            Some(List::Particles(file)) => match file.list().is_dark {
                Some(true) => Contrast::Dark,
                Some(false) => Contrast::Bright,
                None => Contrast::Unknown,
            },
            _ => Contrast::Unknown,
        }
    }

    /// The classes that MedMNIST files state, counted from 0.
    pub fn classes(&self) -> Option<&[usize]> {
        match &self.boxes {
            Source::Volumes { classes, .. } => classes.as_deref(),
            Source::Listed { .. } => None,
        }
    }

    /// Name of a box.
    pub fn name(&self, index: usize) -> String {
        match &self.boxes {
            Source::Volumes { source, is_directory: true, .. } => {
                self.path.join(source.name(index)).display().to_string()
            }
            Source::Volumes { source, .. } if source.n_volumes() == 1 => {
                self.path.display().to_string()
            }
            Source::Volumes { .. } => format!("{:06}@{}", index + 1, self.path.display()),
            Source::Listed { list, .. } => list.name(index),
        }
    }

    /// The file that a box is in, and which volume of it, from 0 on.
    pub fn file(&self, index: usize) -> (PathBuf, usize) {
        match &self.boxes {
            Source::Volumes { source, is_directory: true, .. } => {
                (self.path.join(source.name(index)), 0)
            }
            Source::Volumes { .. } => (self.path.clone(), index),
            Source::Listed { list, files, .. } => {
                (files[index].to_path_buf(), list.volume_index(index))
            }
        }
    }

    /// The tomogram or group of a box.
    pub fn group(&self, index: usize) -> Option<&str> {
        match &self.boxes {
            Source::Volumes { .. } => None,
            Source::Listed { list: List::Particles(file), .. } => {
                let list = file.list();
                Some(list.tomograms.get(list.particles[index].tomogram?)?.as_str())
            }
            Source::Listed { list: List::Labels(labels), .. } => {
                labels.rows[index].group.as_deref()
            }
        }
    }

    /// Whether all boxes have a group.
    pub fn has_groups(&self) -> bool {
        match &self.boxes {
            Source::Volumes { .. } => false,
            Source::Listed { list: List::Particles(file), .. } => {
                file.list().particles.iter().all(|particle| particle.tomogram.is_some())
            }
            Source::Listed { list: List::Labels(labels), .. } => {
                labels.rows.iter().all(|row| row.group.is_some())
            }
        }
    }

    /// Appends the voxels of a box.
    ///
    /// # Errors
    /// The file cannot be read, or has changed since it was opened.
    pub(super) fn read(&self, index: usize, voxels: &mut Vec<f32>) -> Result<()> {
        match &self.boxes {
            Source::Volumes { source, .. } => voxels.extend(source.read(index)?.iter()),
            Source::Listed { list, files, options, last } => {
                let path = &files[index];
                let mut last = last.borrow_mut();
                if last.as_ref().is_none_or(|(open, _)| open != path) {
                    *last = Some((Arc::clone(path), volumes::open_with(path, options)?));
                }
                // It was set just now.
                let Some((_, source)) = last.as_ref() else { return Ok(()) };
                let volume = source.read(list.volume_index(index))?;
                if volume.shape() != self.shape {
                    let message =
                        format!("{:?} voxels, {:?} when it was opened", volume.shape(), self.shape);
                    return Err(Failure::at(path, message));
                }
                voxels.extend(volume.iter());
            }
        }
        Ok(())
    }
}
