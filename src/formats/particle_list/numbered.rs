//! Lists that number their images: Dynamo tables and STOPGAP's motive lists.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    Columns, Dialect, ImageReference, Names, Particle, ParticleList, PositionUnit, ShiftUnit,
};
use crate::{
    dynamo::{APIX, CLASS, Column, DX, DY, DZ, DynamoTable, TAG, TOMOGRAM, X, Y, Z},
    error::{Error, ErrorKind, Result},
    star::{Row, Star, Table},
};

/// A folder of `<prefix>_000012.em` or `.mrc`, by number.
pub(super) struct DataFolder {
    directory: PathBuf,
    names: HashMap<u64, String>,
}

impl DataFolder {
    /// Lists the folder. Numbers may have any number of leading zeros.
    ///
    /// # Errors
    /// It cannot be listed, or two files have one number.
    fn open(directory: &Path, prefix: &str) -> Result<DataFolder> {
        let directory =
            std::path::absolute(directory).map_err(|error| Error::io(directory, &error))?;
        let mut names: HashMap<u64, String> = HashMap::new();
        for entry in fs::read_dir(&directory).map_err(|error| Error::io(&directory, &error))? {
            let name = entry.map_err(|error| Error::io(&directory, &error))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(number) = number_of(name, prefix) else { continue };
            if let Some(other) = names.insert(number, name.to_owned()) {
                let message = format!("{other} and {name} are both number {number}");
                return Err(Error::format(&directory, message));
            }
        }
        Ok(DataFolder { directory, names })
    }

    /// The folder that was given, or the one of the list if it has such files.
    fn find(list: &Path, given: Option<&Path>, prefix: &str) -> Result<Option<DataFolder>> {
        if let Some(given) = given {
            return DataFolder::open(given, prefix).map(Some);
        }
        let beside = match list.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        match DataFolder::open(beside, prefix) {
            Ok(folder) => Ok((!folder.names.is_empty()).then_some(folder)),
            // A list that is read from memory lies nowhere.
            Err(error) if error.kind() == ErrorKind::Io => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn image(&self, number: i64) -> Option<ImageReference> {
        let name = self.names.get(&u64::try_from(number).ok()?)?;
        let path = self.directory.join(name).into_os_string().into_string().ok()?;
        Some(ImageReference { path: path.into(), index: None })
    }
}

/// The number in `<prefix>_000012.em`.
fn number_of(name: &str, prefix: &str) -> Option<u64> {
    let rest = name.strip_prefix(prefix)?.strip_prefix('_')?;
    let number = rest.strip_suffix(".em").or_else(|| rest.strip_suffix(".mrc"))?;
    if number.bytes().all(|byte| byte.is_ascii_digit()) { number.parse().ok() } else { None }
}

/// What a Dynamo table says. A particle is at columns 24 to 26 plus 4 to 6, all in voxels of the tomogram (Dynamo's
/// "Table convention"; so read by alisterburt/dynamo2m, which writes the sum for RELION).
pub(super) fn read_dynamo(table: &DynamoTable, data: Option<&Path>) -> Result<ParticleList> {
    let folder = DataFolder::find(table.path(), data, "particle")?;
    let mut notes = Vec::new();
    if folder.is_none() {
        notes.push(
            "no particle_*.em beside the table: the folder of the images must be given".to_owned(),
        );
    }
    let mut tags = HashSet::new();
    let mut tomograms = Names::default();
    let mut knows_voxel_size = false;
    let mut particles = Vec::with_capacity(table.n_rows());
    for row in 0..table.n_rows() {
        let Some(tag) = table.integer(row, TAG)?.filter(|&tag| tag > 0) else {
            return Err(table.error(row, TAG, "expected a number from 1 on"));
        };
        if !tags.insert(tag) {
            return Err(table.error(
                row,
                TAG,
                format!("{tag} is the tag of a particle before, too"),
            ));
        }
        let image = folder.as_ref().map(|folder| match folder.image(tag) {
            Some(image) => Ok(image),
            None => {
                let directory = folder.directory.display();
                Err(table.error(
                    row,
                    TAG,
                    format!("no particle_{tag:06}.em or the like in {directory}"),
                ))
            }
        });
        let [z, y, x] = [table.number(row, Z)?, table.number(row, Y)?, table.number(row, X)?];
        let shift = [table.number(row, DZ)?, table.number(row, DY)?, table.number(row, DX)?];
        // Dynamo writes 0 for what it does not know.
        let voxel_size = table.number(row, APIX)?.filter(|&size| size > 0.0).unwrap_or(0.0);
        knows_voxel_size |= voxel_size > 0.0;
        particles.push(Particle {
            image: image.transpose()?,
            tomogram: table
                .integer(row, TOMOGRAM)?
                .map(|number| tomograms.index(number.to_string())),
            position: z.zip(y).zip(x).map(|((z, y), x)| [z, y, x]),
            shift: shift.map(|along| along.unwrap_or(0.0) as f32),
            voxel_size,
            class: table.integer(row, CLASS)?,
        });
    }
    let name = |column: Column| format!("{} ({})", column.number, column.name);
    Ok(ParticleList {
        path: table.path().to_owned(),
        dialect: Dialect::Dynamo,
        particles,
        tomograms: tomograms.names,
        position_unit: Some(PositionUnit::Voxel),
        position_voxel_size: None,
        shift_unit: Some(ShiftUnit::Voxel),
        columns: Columns {
            image: Some(name(TAG)),
            tomogram: Some(name(TOMOGRAM)),
            position: Some([Z, Y, X].map(name)),
            shift: [DZ, DY, DX].map(name).to_vec(),
            voxel_size: knows_voxel_size.then(|| name(APIX)),
            class: Some(name(CLASS)),
        },
        is_ctf_premultiplied: false,
        is_dark: None,
        notes,
    })
}

/// Shifts in STOPGAP's list, z first.
const STOPGAP_SHIFT: [&str; 3] = ["z_shift", "y_shift", "x_shift"];

/// What a motive list of STOPGAP says. A particle is at `orig_x` plus `x_shift`; both count voxels, from 1 on, with the
/// middle of a box of N at floor(N / 2) + 1 (`sg_toolbox/sg_motl_rescale.m` of STOPGAP, which multiplies positions p by
/// s as s p - (s - 1)).
pub(super) fn read_stopgap(
    star: &Star,
    table: Table<'_>,
    data: Option<&Path>,
) -> Result<ParticleList> {
    let folder = DataFolder::find(star.path(), data, "subtomo")?;
    let mut notes = Vec::new();
    if folder.is_none() {
        notes.push(
            "no subtomo_*.mrc beside the list: the folder of the images must be given".to_owned(),
        );
    }
    let [number, tomogram, class] = ["subtomo_num", "tomo_num", "class"].map(|l| table.column(l));
    let position = ["orig_z", "orig_y", "orig_x"].map(|label| table.column(label));
    let Some(number) = number else {
        let message = "data_stopgap_motivelist has no column subtomo_num";
        return Err(Error::format(star.path(), message));
    };
    let shift = STOPGAP_SHIFT.map(|label| table.column(label));
    let mut tomograms = Names::default();
    let mut particles = Vec::with_capacity(table.n_rows());
    for row in table.rows() {
        let integer = |column: Option<usize>| column.map(|c| row.get(c).integer()).transpose();
        let image = match &folder {
            None => None,
            Some(folder) => {
                let value = row.get(number);
                let directory = folder.directory.display();
                let missing =
                    || value.error(format_args!("no subtomo_*.mrc of that number in {directory}"));
                Some(folder.image(value.integer()?).ok_or_else(missing)?)
            }
        };
        particles.push(Particle {
            image,
            tomogram: integer(tomogram)?.map(|number| tomograms.index(number.to_string())),
            position: read_position(&row, position)?,
            shift: read_position(&row, shift)?.unwrap_or_default().map(|along| along as f32),
            voxel_size: 0.0,
            class: integer(class)?,
        });
    }
    if particles.is_empty() {
        return Err(Error::format(star.path(), "data_stopgap_motivelist has no rows"));
    }
    let name = |column: Option<usize>, label: &str| column.map(|_| label.to_owned());
    let has_position = position.iter().all(Option::is_some);
    let has_shift = shift.iter().all(Option::is_some);
    Ok(ParticleList {
        path: star.path().to_owned(),
        dialect: Dialect::Stopgap,
        particles,
        tomograms: tomograms.names,
        position_unit: has_position.then_some(PositionUnit::Voxel),
        position_voxel_size: None,
        shift_unit: has_shift.then_some(ShiftUnit::Voxel),
        columns: Columns {
            image: Some("subtomo_num".to_owned()),
            tomogram: name(tomogram, "tomo_num"),
            position: has_position.then(|| ["orig_z", "orig_y", "orig_x"].map(str::to_owned)),
            shift: if has_shift { STOPGAP_SHIFT.map(str::to_owned).to_vec() } else { Vec::new() },
            voxel_size: None,
            class: name(class, "class"),
        },
        is_ctf_premultiplied: false,
        is_dark: None,
        notes,
    })
}

/// The position `[z, y, x]`, if the table has all three columns.
pub(super) fn read_position(
    row: &Row<'_>,
    columns: [Option<usize>; 3],
) -> Result<Option<[f64; 3]>> {
    let [Some(z), Some(y), Some(x)] = columns else { return Ok(None) };
    Ok(Some([row.get(z).number()?, row.get(y).number()?, row.get(x).number()?]))
}
