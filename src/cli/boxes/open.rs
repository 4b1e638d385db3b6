//! Opening inputs: what kind of file it is, and whether all of its boxes are alike.

use std::{cell::RefCell, path::Path, sync::Arc};

use cinetomo_formats::{
    csv::Labels,
    mrc::Layout,
    npz::{MedMnist, Npz},
    particle_list::{Folders, Images, ParticleFile},
    volumes::{self, VolumeSource},
};

use super::{
    BoxArgs, MedMnistPart, differ,
    part::{List, Part, Source},
};
use crate::{
    console::Console,
    failure::{Failure, Result},
    outputs::extension,
};

impl Part {
    /// Opens a stack, a directory, a particle list or a file of labels.
    ///
    /// # Errors
    /// It cannot be read, or its boxes are not all 3D and alike.
    pub fn open(path: &Path, args: &BoxArgs, console: &Console) -> Result<Part> {
        match extension(path).as_str() {
            _ if path.is_dir() => Part::of_volumes(path, args),
            "star" | "tbl" => Part::of_particles(path, args, console),
            "csv" => Part::of_labels(Labels::read(path)?, args, console),
            "npz" => Part::of_archive(path, args),
            _ => Part::of_volumes(path, args),
        }
    }

    /// The images that a file of labels names.
    ///
    /// # Errors
    /// As of [`Part::open`].
    pub fn of_labels(labels: Labels, args: &BoxArgs, console: &Console) -> Result<Part> {
        let path = labels.path.clone();
        for note in &labels.notes {
            console.warn(format!("{}: {note}", path.display()));
        }
        let images = labels.find_images(args.project.as_deref())?;
        Part::listed(&path, List::Labels(labels), images, args, console)
    }

    fn of_volumes(path: &Path, args: &BoxArgs) -> Result<Part> {
        let source = volumes::open_with(path, &options(args))?;
        Part::volumes(path, source, None)
    }

    fn of_archive(path: &Path, args: &BoxArgs) -> Result<Part> {
        let archive = Npz::open(path)?;
        let is_medmnist = args.array.is_none() && archive.names().contains(&"train_labels");
        if !is_medmnist {
            return Part::of_volumes(path, args);
        }
        let Some(part) = args.part else {
            return Err(Failure::Usage(format!(
                "{} is a MedMNIST3D data set: say which part with --part train, val or test",
                path.display()
            )));
        };
        let data = MedMnist::read(&archive)?;
        let split = match part {
            MedMnistPart::Train => data.train,
            MedMnistPart::Val => data.validation,
            MedMnistPart::Test => data.test,
        };
        Part::volumes(path, Box::new(split.volumes), Some(split.labels))
    }

    /// The boxes of a source, with their classes if the file states them.
    ///
    /// # Errors
    /// They are 2D.
    pub fn volumes(
        path: &Path,
        source: Box<dyn VolumeSource>,
        classes: Option<Vec<usize>>,
    ) -> Result<Part> {
        let (shape, voxel_size) = (source.shape(), source.voxel_size());
        refuse_2d(path, shape, source.n_volumes())?;
        let is_directory = path.is_dir();
        let boxes = Source::Volumes { source, is_directory, classes };
        Ok(Part { path: path.to_owned(), shape, voxel_size, boxes })
    }

    fn of_particles(path: &Path, args: &BoxArgs, console: &Console) -> Result<Part> {
        let folders = Folders { project: args.project.as_deref(), data: args.data.as_deref() };
        let file = ParticleFile::open(path, folders)?;
        for note in &file.list().notes {
            console.warn(format!("{}: {note}", path.display()));
        }
        let images = file.list().find_images(folders)?;
        console.info(format!(
            "{}: {} particles of {}",
            path.display(),
            file.list().particles.len(),
            file.list().dialect
        ));
        Part::listed(path, List::Particles(Box::new(file)), images, args, console)
    }

    fn listed(
        path: &Path,
        list: List,
        images: Images,
        args: &BoxArgs,
        console: &Console,
    ) -> Result<Part> {
        if images.bases.len() > 1 {
            let bases: Vec<String> =
                images.bases.iter().map(|(base, n)| format!("{n} to {base}")).collect();
            console.warn(format!(
                "{}: images are relative to several places: {}",
                path.display(),
                bases.join(", ")
            ));
        } else if let Some((base, _)) = images.bases.first() {
            console.info(format!("{}: images are relative to {base}", path.display()));
        }
        let options = options(args);
        let mut first: Option<([usize; 3], f64)> = None;
        let mut last: Option<(Arc<Path>, usize)> = None;
        for (index, file) in images.paths.iter().enumerate() {
            let n_volumes = match &last {
                Some((open, n_volumes)) if open == file => *n_volumes,
                _ => {
                    let source = volumes::open_with(file, &options)?;
                    let place = format!("{}: {}", path.display(), list.name(index));
                    check_alike(&*source, &mut first, args).map_err(|error| error.within(place))?;
                    last = Some((Arc::clone(file), source.n_volumes()));
                    source.n_volumes()
                }
            };
            if list.volume_index(index) >= n_volumes {
                let message = format!("{}: the file has {n_volumes} boxes", list.name(index));
                return Err(Failure::at(path, message));
            }
        }
        let Some((shape, in_files)) = first else {
            return Err(Failure::at(path, "lists no images"));
        };
        let voxel_size = voxel_size(path, &list, in_files, args, console)?;
        let boxes = Source::Listed { list, files: images.paths, options, last: RefCell::new(None) };
        Ok(Part { path: path.to_owned(), shape, voxel_size, boxes })
    }
}

fn options(args: &BoxArgs) -> volumes::Options {
    volumes::Options {
        signed_bytes: args.signed_bytes,
        layout: args.depth.map(|depth| Layout::Volumes { depth }),
        array: args.array.clone(),
    }
}

/// Fails if the boxes of a file are not as those of the first one.
fn check_alike(
    source: &dyn VolumeSource,
    first: &mut Option<([usize; 3], f64)>,
    args: &BoxArgs,
) -> Result<()> {
    let (shape, voxel_size) = (source.shape(), source.voxel_size());
    refuse_2d(source.path(), shape, source.n_volumes())?;
    match first {
        None => *first = Some((shape, voxel_size)),
        Some((expected, _)) if *expected != shape => {
            return Err(Failure::Error(format!(
                "{shape:?} voxels (z, y, x); expected {expected:?} as in the first"
            )));
        }
        Some((_, expected)) if args.voxel_size.is_none() && differ(voxel_size, *expected, 1e-3) => {
            return Err(Failure::Error(format!(
                "voxels of {voxel_size} angstrom; expected {expected} as in the first. If the files are wrong, say the \
                 right one with --voxel-size"
            )));
        }
        Some(_) => {}
    }
    Ok(())
}

/// Fails if boxes have one section: those are images.
fn refuse_2d(path: &Path, shape: [usize; 3], n: usize) -> Result<()> {
    let [z, y, x] = shape;
    if z > 1 {
        return Ok(());
    }
    Err(Failure::at(
        path,
        format!(
            "{n} images of {y} x {x} pixels, not subtomograms. If they are the sections of 3D boxes, say how many make a \
             box with --depth; stacks of tilt images must be extracted again as 3D subtomograms"
        ),
    ))
}

/// The voxel size that a list states, or else the files.
fn voxel_size(
    path: &Path,
    list: &List,
    in_files: f64,
    args: &BoxArgs,
    console: &Console,
) -> Result<f64> {
    let List::Particles(file) = list else { return Ok(in_files) };
    let particles = &file.list().particles;
    let stated = particles.first().map_or(0.0, |particle| particle.voxel_size);
    if args.voxel_size.is_none()
        && let Some(index) =
            particles.iter().position(|particle| differ(particle.voxel_size, stated, 1e-3))
    {
        let message = format!(
            "particle {} has voxels of {} angstrom, the first of {stated}; one run needs one voxel size. Divide the list, \
             or say the right one with --voxel-size",
            index + 1,
            particles[index].voxel_size
        );
        return Err(Failure::at(path, message));
    }
    if stated == 0.0 {
        return Ok(in_files);
    }
    if args.voxel_size.is_none() && differ(in_files, stated, 0.01) && in_files != 1.0 {
        console.warn(format!(
            "{}: the list says voxels of {stated} angstrom, its images {in_files}; the list is believed",
            path.display()
        ));
    }
    Ok(stated)
}
