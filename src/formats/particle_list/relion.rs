//! Lists in RELION's conventions: RELION 3.0 to 5, Warp, WarpTools, pytom-match-pick.

mod optics;
mod shifts;

use std::path::Path;

use self::{
    optics::{Optics, VoxelSize},
    shifts::Shifts,
};
use super::{
    Columns, Dialect, ImageReference, Names, Particle, ParticleList, PositionUnit,
    numbered::read_position,
};
use crate::{
    error::{Error, ErrorKind, Result},
    star::{Row, Star, Table, Value},
};

/// The class, from 1 on.
pub(super) const CLASS: &str = "rlnClassNumber";

const IMAGE: &str = "rlnImageName";

/// Where the tomogram's name stands, best first.
const TOMOGRAM: [&str; 2] = ["rlnTomoName", "rlnMicrographName"];

/// Positions, z first. RELION 5 prefers the centred ones where a list has both; they are in angstrom from the tomogram's
/// extents divided by 2, not rounded (`getParticleCoordDecenteredPixel` in `src/jaz/tomography/particle_set.cpp` and
/// `centre` in `tomogram_set.cpp`). Others count voxels from 0 on: the box of N voxels around one begins N / 2 before it
/// (`extractParticlesFromOneFrame` in `src/preprocessing.cpp` of RELION 3.1).
const CENTRED: [&str; 3] =
    ["rlnCenteredCoordinateZAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateXAngst"];
const VOXEL: [&str; 3] = ["rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX"];

/// What to do about 2D images.
const AS_3D: &str = "extract the particles again as 3D subtomograms (RELION 5: Extract subtomos without 2D stacks; \
                     WarpTools: ts_export_particles --3d)";

/// The particles file that an optimisation set names; `None` if the file is no such set.
pub(super) fn particles_file(star: &Star) -> Result<Option<String>> {
    const LABEL: &str = "rlnTomoParticlesFile";
    for table in star.tables() {
        let Some(column) = table.column(LABEL) else { continue };
        if table.n_rows() != 1 {
            let message = format!(
                "an optimisation set with {} rows of {LABEL}; expected one",
                table.n_rows()
            );
            return Err(Error::format(star.path(), message));
        }
        let value = table.row(0).get(column);
        return match value.text()? {
            "" | "None" => Err(value.error("the optimisation set names no particles")),
            named => Ok(Some(named.to_owned())),
        };
    }
    Ok(None)
}

/// The table that lists the particles.
pub(super) fn particle_table(star: &Star) -> Result<Table<'_>> {
    for name in ["particles", "stopgap_motivelist"] {
        if let Some(table) = star.table(name)? {
            return Ok(table);
        }
    }
    let has = |table: &Table<'_>, label: &&str| table.column(label).is_some();
    let marks = [IMAGE, CENTRED[0], VOXEL[0]];
    let candidates: Vec<Table<'_>> = star
        .tables()
        .filter(|table| table.is_loop() && marks.iter().any(|mark| has(table, mark)))
        .collect();
    let names = |tables: &[Table<'_>]| {
        let names = tables.iter().map(|table| format!("data_{}", table.name()));
        names.collect::<Vec<_>>().join(", ")
    };
    match candidates.as_slice() {
        [table] => Ok(*table),
        [] => {
            let message = format!(
                "no table of particles: none is data_particles or has {IMAGE} or coordinates; there \
                 is {}",
                names(&star.tables().collect::<Vec<_>>())
            );
            Err(Error::format(star.path(), message))
        }
        several => {
            let message = format!("several tables could list the particles: {}", names(several));
            Err(Error::format(star.path(), message))
        }
    }
}

/// What the list says.
pub(super) fn read(star: &Star) -> Result<ParticleList> {
    let table = particle_table(star)?;
    if table.n_rows() == 0 || !table.is_loop() {
        let message = format!("data_{} lists no particles", table.name());
        return Err(Error::format(star.path(), message));
    }
    let optics = Optics::read(star)?;
    let labels = Labels::find(table);
    let mut notes = Vec::new();
    let voxel_size = VoxelSize::find(table, optics.as_ref(), &mut notes);
    if labels.image.is_some() {
        refuse_2d_stacks(star)?;
    }
    let mut list = ParticleList {
        path: star.path().to_owned(),
        dialect: dialect(star, table)?,
        particles: Vec::with_capacity(table.n_rows()),
        tomograms: Vec::new(),
        position_unit: labels.unit,
        position_voxel_size: None,
        shift_unit: labels.shifts.as_ref().map(|shifts| shifts.unit),
        columns: Columns { voxel_size: voxel_size.column(), ..labels.columns() },
        is_ctf_premultiplied: false,
        is_dark: optics.as_ref().and_then(Optics::is_dark),
        notes,
    };
    let mut tomograms = Names::default();
    let mut check = voxel_size.check(table);
    for row in table.rows() {
        let before = list.particles.last().and_then(|particle| particle.image.as_ref());
        let image = labels.image.map(|column| read_image(row.get(column), before)).transpose()?;
        let group = voxel_size.group(&row)?;
        if let (Some(group), Some(_)) = (group, &image) {
            if group.dimension == Some(2) {
                let message = format!(
                    "optics group {} has 2D images (rlnImageDimensionality 2); {AS_3D}",
                    group.number
                );
                return Err(unsupported(star.path(), message));
            }
            list.is_ctf_premultiplied |= group.is_ctf_premultiplied;
        }
        let size = voxel_size.read(&row, group)?;
        check.compare(&row, size)?;
        let tomogram = labels.tomogram.map(|column| row.get(column).text()).transpose()?;
        list.particles.push(Particle {
            image,
            tomogram: tomogram.map(|name| tomograms.index(name)),
            position: read_position(&row, labels.position)?,
            shift: labels.shifts.as_ref().map_or(Ok([0.0; 3]), |shifts| shifts.read(&row))?,
            voxel_size: size,
            class: labels.class.map(|column| row.get(column).integer()).transpose()?,
        });
    }
    list.tomograms = tomograms.names;
    list.position_voxel_size = match (list.position_unit, list.dialect) {
        (Some(PositionUnit::Voxel), Dialect::Relion40 | Dialect::Relion50) => {
            optics.as_ref().and_then(Optics::tilt_series_voxel_size)
        }
        // That of the tomogram which was searched.
        (Some(PositionUnit::Voxel), Dialect::PytomMatchPick) => {
            list.particles.first().map(|particle| particle.voxel_size).filter(|&size| size > 0.0)
        }
        _ => None,
    };
    list.notes.extend(check.note());
    labels.note(&mut list);
    Ok(list)
}

/// Which columns there are.
struct Labels<'a> {
    table: Table<'a>,
    image: Option<usize>,
    tomogram: Option<usize>,
    position: [Option<usize>; 3],
    unit: Option<PositionUnit>,
    shifts: Option<Shifts>,
    class: Option<usize>,
}

impl<'a> Labels<'a> {
    fn find(table: Table<'a>) -> Labels<'a> {
        let all = |labels: [&str; 3]| {
            let columns = labels.map(|label| table.column(label));
            columns.iter().all(Option::is_some).then_some(columns)
        };
        let (position, unit) = match (all(CENTRED), all(VOXEL)) {
            (Some(columns), _) => (columns, Some(PositionUnit::CentredAngstrom)),
            (None, Some(columns)) => (columns, Some(PositionUnit::Voxel)),
            (None, None) => ([None; 3], None),
        };
        Labels {
            table,
            image: table.column(IMAGE),
            tomogram: TOMOGRAM.iter().find_map(|label| table.column(label)),
            position,
            unit,
            shifts: Shifts::find(table),
            class: table.column(CLASS),
        }
    }

    fn columns(&self) -> Columns {
        let name = |column: Option<usize>| Some(self.table.labels().nth(column?)?.to_owned());
        let position = match self.position.map(name) {
            [Some(z), Some(y), Some(x)] => Some([z, y, x]),
            _ => None,
        };
        Columns {
            image: name(self.image),
            tomogram: name(self.tomogram),
            position,
            shift: self.shifts.as_ref().map_or(Vec::new(), |shifts| shifts.labels.clone()),
            voxel_size: None,
            class: name(self.class),
        }
    }

    /// Says what the list lacks.
    fn note(&self, list: &mut ParticleList) {
        let notes = &mut list.notes;
        if self.image.is_none() {
            notes.push(format!("no {IMAGE}: the list has positions, but no subtomograms"));
        }
        if self.tomogram.is_none() {
            let [first, second] = TOMOGRAM;
            notes.push(format!(
                "neither {first} nor {second}: particles cannot be split by tomogram"
            ));
        }
        if list.is_ctf_premultiplied {
            notes.push(
                "images are multiplied by the CTF (rlnCtfDataAreCtfPremultiplied): another signal \
                 than plain subtomograms; train and classify the same kind"
                    .to_owned(),
            );
        }
    }
}

fn read_image(value: Value<'_>, before: Option<&ImageReference>) -> Result<ImageReference> {
    let text = value.text()?;
    let Some(image) = ImageReference::parse_after(text, before) else {
        return Err(value.error(format_args!(
            "{text:?} names no image; expected a path, or a number from 1 on, @ and a path"
        )));
    };
    if image.path.ends_with("_stack2d.mrcs") {
        return Err(value.refuse(format_args!("{text} is a stack of 2D tilt images; {AS_3D}")));
    }
    Ok(image)
}

/// RELION 5 says in a table of its own that images are 2D stacks.
fn refuse_2d_stacks(star: &Star) -> Result<()> {
    const LABEL: &str = "rlnTomoSubTomosAre2DStacks";
    let Some(general) = star.table("general")? else { return Ok(()) };
    let Some(column) = general.column(LABEL) else { return Ok(()) };
    for row in general.rows() {
        if row.get(column).integer()? != 0 {
            let message = format!("images are stacks of 2D tilt images ({LABEL} 1); {AS_3D}");
            return Err(unsupported(star.path(), message));
        }
    }
    Ok(())
}

fn unsupported(path: &Path, message: String) -> Error {
    Error::new(ErrorKind::Unsupported, path, message)
}

fn dialect(star: &Star, table: Table<'_>) -> Result<Dialect> {
    let has = |label| table.column(label).is_some();
    let optics = star.table("optics")?;
    let optics_has = |label| optics.is_some_and(|optics| optics.column(label).is_some());
    Ok(if has("rlnLCCmax") && !has(IMAGE) {
        Dialect::PytomMatchPick
    } else if star.table("general")?.is_some() || has(CENTRED[0]) {
        Dialect::Relion50
    } else if optics_has("rlnTomoTiltSeriesPixelSize") || has("rlnTomoName") {
        Dialect::Relion40
    } else if optics.is_some() {
        Dialect::Relion31
    } else {
        Dialect::Relion30
    })
}

/// Whether the value of a column is there and positive.
fn positive(row: &Row<'_>, column: usize) -> Result<f64> {
    let value = row.get(column);
    let number = value.number()?;
    if number > 0.0 {
        return Ok(number);
    }
    Err(value.error(format_args!("{number} must be positive")))
}
