//! What is simulated: built-in phantoms, or densities of structures and maps.

use std::path::Path;

use cinetomo_formats::{
    structure::{self, DensityOptions, Structure},
    volumes,
};
use cinetomo_host::{Volume, abi::cinetomo_synthetic_options};
use clap::Args;
use ndarray::{Array3, Slice};

use crate::{
    console::Console,
    failure::{Failure, Result},
    outputs,
    session::Session,
};

/// What is simulated.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Particles")]
pub struct DensityArgs {
    /// Only these of the built-in phantoms; a wrong name lists them
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "density")]
    phantoms: Vec<String>,
    /// Densities instead of phantoms: atoms (.pdb, .cif) or a bright-on-dark map (.mrc .em ...) at the voxel size of the
    /// run
    #[arg(long, value_name = "NAME=FILE", num_args = 1..)]
    density: Vec<String>,
    /// Resolution of densities that are made of atoms, in angstrom [default: two voxels]
    #[arg(long, value_name = "ANGSTROM")]
    resolution: Option<f64>,
}

/// What boxes are made of.
pub struct Densities {
    /// Names of the classes.
    pub names: Vec<String>,
    /// `[n, d, d, d]` and `d`; nothing for the built-in phantoms.
    cubes: Option<(Vec<f32>, usize)>,
    /// Which density each class is.
    pub indices: Vec<i32>,
}

impl Densities {
    /// For the plugin; nothing for the built-in phantoms.
    ///
    /// # Errors
    /// There are no voxels.
    pub fn volume(&self, voxel_size: f64) -> Result<Option<Volume<'_>>> {
        let Some((voxels, d)) = &self.cubes else { return Ok(None) };
        let d = *d as i64;
        let shape = [self.names.len() as i64, d, d, d];
        Ok(Some(Volume::new(voxels, shape)?.voxel_size(voxel_size)))
    }
}

impl DensityArgs {
    /// Reads what is asked for.
    ///
    /// # Errors
    /// There is no such phantom, or a file is no density at the voxel size of the run.
    pub fn read(
        &self,
        session: &Session,
        options: &cinetomo_synthetic_options,
    ) -> Result<Densities> {
        if self.density.is_empty() {
            let known = session.context.synthetic()?.phantom_names();
            let names =
                if self.phantoms.is_empty() { known.clone() } else { self.phantoms.clone() };
            let index = |name: &String| {
                let index = known.iter().position(|other| other == name).ok_or_else(|| {
                    Failure::Usage(format!("no phantom {name}; there are {}", known.join(", ")))
                })?;
                // There are a handful.
                Ok(index as i32)
            };
            let indices = names.iter().map(index).collect::<Result<_>>()?;
            return Ok(Densities { names, cubes: None, indices });
        }
        let (mut names, mut read) = (Vec::new(), Vec::new());
        for stated in &self.density {
            let Some((name, path)) = stated.split_once('=').filter(|(name, _)| !name.is_empty())
            else {
                return Err(Failure::Usage(format!("--density {stated}: expected NAME=FILE")));
            };
            if names.iter().any(|other| other == name) {
                return Err(Failure::Usage(format!("--density: two are named {name}")));
            }
            names.push(name.to_owned());
            read.push(self.density_of(Path::new(path), options, &session.console)?);
        }
        let edge = read.iter().flat_map(|density| density.shape()).max().copied().unwrap_or(0);
        let mut voxels = Vec::with_capacity(names.len() * edge.pow(3));
        for density in &read {
            voxels.extend(centred(density, edge).iter());
        }
        let indices = (0..names.len() as i32).collect();
        Ok(Densities { names, cubes: Some((voxels, edge)), indices })
    }

    fn density_of(
        &self,
        path: &Path,
        options: &cinetomo_synthetic_options,
        console: &Console,
    ) -> Result<Array3<f32>> {
        let voxel_size = options.voxel_size;
        if ["pdb", "ent", "cif", "mmcif"].contains(&outputs::extension(path).as_str()) {
            let structure = Structure::read(path)?;
            for note in &structure.notes {
                console.warn(format!("{}: {note}", path.display()));
            }
            let resolution = self.resolution.unwrap_or(2.0 * voxel_size);
            let options = DensityOptions { box_size: None, voxel_size, resolution };
            return Ok(structure::density(&structure, &options)?.values);
        }
        let source = volumes::open(path)?;
        if source.n_volumes() != 1 {
            return Err(Failure::at(
                path,
                format!("{} volumes; expected one density", source.n_volumes()),
            ));
        }
        let stated = source.voxel_size();
        if stated == 0.0 {
            console.warn(format!(
                "{}: no voxel size; {voxel_size} angstrom are assumed",
                path.display()
            ));
        } else if (stated / voxel_size - 1.0).abs() > 0.01 {
            return Err(Failure::at(
                path,
                format!(
                    "voxels of {stated} angstrom, the run has {voxel_size} (--voxel-size): resample the map"
                ),
            ));
        }
        Ok(source.read(0)?)
    }
}

/// A density in the middle of a cube of zeros: voxel n / 2 goes to voxel `edge` / 2.
fn centred(density: &Array3<f32>, edge: usize) -> Array3<f32> {
    let mut cube = Array3::zeros([edge; 3]);
    let mut middle = cube.slice_each_axis_mut(|axis| {
        let n = density.len_of(axis.axis);
        let start = edge / 2 - n / 2;
        Slice::from(start..start + n)
    });
    middle.assign(density);
    cube
}
