use std::fs;

use super::*;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/lists");

/// A list that tests/reference/lists.py wrote.
fn open(name: &str) -> Result<ParticleFile> {
    ParticleFile::open(&Path::new(REFERENCE).join(name), Folders::default())
}

fn list(name: &str) -> ParticleList {
    open(name).unwrap().list
}

fn parse(text: &str) -> Result<ParticleFile> {
    let star = Star::parse(text.into(), Path::new("nowhere/a.star"))?;
    ParticleFile::from_star(star, Folders::default())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// Values of a column as starfile reads them.
fn cells(file: &str, block: &str, label: &str) -> Vec<String> {
    let path = Path::new(REFERENCE).join("cells.json");
    let cells: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let values = cells[file][block][label].as_array().unwrap();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_dialect_is_read_alike() {
    use Dialect::*;
    use PositionUnit::*;
    // File, table, dialect, sizes, tomograms, their index, classes, label of the position.
    let centred = "rlnCenteredCoordinate?Angst";
    let cases = [
        ("relion30.star", "", Relion30, vec![5.25; 3], 2, [0, 0, 1], None, Voxel, "rlnCoordinate?"),
        (
            "relion40.star",
            "particles",
            Relion40,
            vec![3.942; 3],
            2,
            [0, 0, 1],
            Some([1, 2, 1]),
            Voxel,
            "rlnCoordinate?",
        ),
        (
            "relion50.star",
            "particles",
            Relion50,
            vec![5.4; 3],
            2,
            [0, 0, 1],
            Some([1, 2, 1]),
            CentredAngstrom,
            centred,
        ),
        (
            "pytom.star",
            "",
            PytomMatchPick,
            vec![13.79; 3],
            1,
            [0, 0, 0],
            None,
            Voxel,
            "rlnCoordinate?",
        ),
        (
            "pytom_relion5.star",
            "",
            PytomMatchPick,
            vec![13.79; 3],
            1,
            [0, 0, 0],
            None,
            CentredAngstrom,
            centred,
        ),
        (
            "stopgap.star",
            "stopgap_motivelist",
            Stopgap,
            vec![0.0; 3],
            2,
            [0, 0, 1],
            Some([1, 2, 3]),
            Voxel,
            "orig_?",
        ),
    ];
    for (file, block, dialect, sizes, n_tomograms, tomograms, classes, unit, position) in cases {
        let list = list(file);
        assert_eq!(list.dialect, dialect, "{file}");
        assert_eq!(list.tomograms.len(), n_tomograms, "{file}");
        assert_eq!(list.position_unit, Some(unit), "{file}");
        let of =
            |particle: &Particle| (particle.voxel_size, particle.tomogram.unwrap(), particle.class);
        let ours: Vec<_> = list.particles.iter().map(of).collect();
        let expected: Vec<_> =
            (0..3).map(|i| (sizes[i], tomograms[i], classes.map(|classes| classes[i]))).collect();
        assert_eq!(ours, expected, "{file}");
        for (axis, name) in ["Z", "Y", "X"].into_iter().enumerate() {
            let name = if dialect == Stopgap { &name.to_lowercase() } else { name };
            let label = position.replace('?', name);
            assert_eq!(list.columns.position.as_ref().unwrap()[axis], label, "{file}");
            for (row, value) in cells(file, block, &label).into_iter().enumerate() {
                let expected: f64 = value.parse().unwrap();
                assert_eq!(list.particles[row].position.unwrap()[axis], expected, "{file}");
            }
        }
    }
}

#[test]
fn each_optics_group_has_its_voxel_size() {
    let list = list("relion31.star");
    assert_eq!(list.dialect, Dialect::Relion31);
    let sizes: Vec<f64> = list.particles.iter().map(|particle| particle.voxel_size).collect();
    assert_eq!(sizes, [2.5, 2.5, 3.5, 3.5]);
    assert_eq!(list.tomograms, ["ts_01.mrc", "ts 02.mrc"]);
    assert_eq!(list.columns.voxel_size.unwrap(), "rlnImagePixelSize of the optics group");
    assert_eq!(list.columns.tomogram.unwrap(), "rlnMicrographName");
    let images: Vec<String> = list
        .particles
        .iter()
        .map(|particle| particle.image.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(images[2], "000003@Extract/ts_02.mrcs");
    let third = ImageReference { path: "Extract/ts_02.mrcs".into(), index: Some(3) };
    assert_eq!(list.particles[2].image, Some(third));
    assert!(list.notes.is_empty() && !list.is_ctf_premultiplied, "{:?}", list.notes);
}

#[test]
fn a_host_can_warn() {
    for name in ["relion40.star", "relion50.star"] {
        let list = list(name);
        assert!(list.is_ctf_premultiplied);
        assert!(list.notes.iter().any(|note| note.contains("multiplied by the CTF")), "{name}");
        assert_eq!(list.columns.tomogram.as_deref(), Some("rlnTomoName"));
    }
    let relion30 = list("relion30.star");
    assert_eq!(
        relion30.columns.voxel_size.unwrap(),
        "rlnDetectorPixelSize * 10000 / rlnMagnification"
    );
    assert_eq!(
        relion30.notes,
        ["line 22: the file ends within a line; its last value may be cut short"]
    );
    let pytom = list("pytom.star");
    assert_eq!(pytom.notes, ["no rlnImageName: the list has positions, but no subtomograms"]);
    assert_eq!(pytom.columns.voxel_size.unwrap(), "rlnDetectorPixelSize");
}

#[test]
fn stacks_of_2d_images_are_refused_with_the_way_out() {
    let optics = "data_optics\nloop_\n_rlnOpticsGroup\n_rlnImageDimensionality\n1 ?\n2 3\n";
    let particles = "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\na.mrc 2\n* 1\n";
    let by_group = (optics.to_owned() + particles).replace('?', "2").replace('*', "b.mrc");
    let by_name = (optics.to_owned() + particles).replace('?', "3").replace('*', "b_stack2d.mrcs");
    let messages = [
        (open("relion50_2d.star").unwrap_err(), "rlnTomoSubTomosAre2DStacks 1"),
        (open("warptools_2d.star").unwrap_err(), "rlnTomoSubTomosAre2DStacks 1"),
        (parse(&by_group).unwrap_err(), "optics group 1 has 2D images"),
        (parse(&by_name).unwrap_err(), "line 12, rlnImageName: b_stack2d.mrcs is a stack of 2D"),
    ];
    for (error, expected) in messages {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("extract the particles again as 3D"), "{message}");
    }
    // A group that no particle uses is no obstacle, nor are 2D stacks where only positions are listed.
    assert!(parse(&by_group.replace("b.mrc 1", "b.mrc 2")).is_ok());
    let picks =
        "data_general\n_rlnTomoSubTomosAre2DStacks 1\ndata_particles\nloop_\n_rlnTomoName\na\n";
    assert!(parse(picks).is_ok());
}

#[test]
fn an_optimisation_set_leads_to_its_particles() {
    let list = list("optimisation_set.star");
    assert_eq!(list.path.file_name().unwrap(), "relion50.star");
    assert_eq!(list.particles.len(), 3);
    assert!(
        list.notes[0]
            .contains("optimisation_set.star names this list, relative to the directory of")
    );

    let directory = tempfile::tempdir().unwrap();
    let set = directory.path().join("set.star");
    let open = |named: &str| {
        fs::write(&set, format!("data_\n_rlnTomoParticlesFile {named}\n")).unwrap();
        ParticleFile::open(&set, Folders::default()).unwrap_err().to_string()
    };
    let missing = open("Refine/particles.star");
    assert!(missing.contains("names Refine/particles.star, but there is no "), "{missing}");
    assert!(missing.contains(directory.path().join("Refine/particles.star").to_str().unwrap()));
    assert!(open("set.star").contains("an optimisation set that names an optimisation set"));
    assert!(open("None").contains("line 2, rlnTomoParticlesFile: the optimisation set names no"));
    let looped = "data_\nloop_\n_rlnTomoParticlesFile\na.star\nb.star\n";
    fs::write(&set, looped).unwrap();
    let message = ParticleFile::open(&set, Folders::default()).unwrap_err().to_string();
    assert!(message.contains("2 rows of rlnTomoParticlesFile; expected one"), "{message}");
}

#[test]
fn images_are_found_and_the_base_is_told() {
    let directory = tempfile::tempdir().unwrap();
    // The list's directory as `absolute` gives it.
    let project = directory.path();
    let job = project.join("Refine3D/job001");
    fs::create_dir_all(&job).unwrap();
    fs::create_dir_all(project.join("Extract")).unwrap();
    for file in ["Extract/a.mrc", "Extract/b.mrcs", "Refine3D/job001/c.mrc"] {
        fs::write(project.join(file), "").unwrap();
    }
    let absolute = project.join("Extract/a.mrc");
    let list_of = |images: &[&str]| {
        let path = job.join("run_data.star");
        fs::write(&path, format!("data_\nloop_\n_rlnImageName\n{}\n", images.join("\n"))).unwrap();
        ParticleFile::open(&path, Folders::default()).unwrap().list
    };
    let list = list_of(&["1@Extract/b.mrcs", "2@Extract/b.mrcs", "Extract/a.mrc"]);
    let above = list.find_images(Folders::default()).unwrap();
    assert_eq!(above.bases, [(Base::Above(project.to_owned()), 3)]);
    assert_eq!(*above.paths[1], project.join("Extract/b.mrcs"));
    assert_eq!(above.bases[0].0.to_string(), format!("{}, above the list", project.display()));
    let given = list.find_images(Folders { project: Some(project), data: None }).unwrap();
    assert_eq!(given.bases, [(Base::Project(project.to_owned()), 3)]);

    let mixed = list_of(&["c.mrc", "../../Extract/a.mrc", absolute.to_str().unwrap()]);
    let found = mixed.find_images(Folders { project: Some(project), data: None }).unwrap();
    assert_eq!(found.bases, [(Base::List(job.clone()), 2), (Base::Absolute, 1)]);

    let missing = list_of(&["c.mrc", "none.mrc", "gone.mrc"]).find_images(Folders::default());
    let message = missing.unwrap_err().to_string();
    assert!(message.contains("the image of particle 2 is not there: no "), "{message}");
    assert!(message.contains(job.join("none.mrc").to_str().unwrap()), "{message}");
    assert!(message.contains("2 of 3 images are missing; if paths are relative"), "{message}");
    let message = parse("data_\nloop_\n_rlnImageName\n/none.mrc\n").unwrap().list;
    let message = message.find_images(Folders::default()).unwrap_err().to_string();
    assert!(message.contains("particle 1 is not there: no /none.mrc"), "{message}");
    let message = open("pytom.star").unwrap().list.find_images(Folders::default()).unwrap_err();
    assert!(message.to_string().contains("particle 1 has no image"), "{message}");
}

#[test]
fn numbered_images_are_found_by_their_number() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("crop.tbl");
    fs::copy(Path::new(REFERENCE).join("dynamo42.tbl"), &table).unwrap();
    let open = |data| ParticleFile::open(&table, Folders { project: None, data });
    let without = open(None).unwrap().list;
    assert_eq!(without.dialect, Dialect::Dynamo);
    assert_eq!(without.particles[0].image, None);
    assert!(without.notes[0].contains("the folder of the images must be given"));
    assert_eq!(without.tomograms, ["3", "4"]);
    let of = |particle: &Particle| (particle.tomogram, particle.class, particle.voxel_size);
    let ours: Vec<_> = without.particles.iter().map(of).collect();
    let expected = [(0, 1), (0, 2), (1, 2), (1, 1)];
    assert_eq!(ours, expected.map(|(tomogram, class)| (Some(tomogram), Some(class), 13.48)));

    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    for name in ["particle_00001.em", "particle_00002.em", "particle_000012.mrc", "particle_x.em"] {
        fs::write(data.join(name), "").unwrap();
    }
    let message = open(Some(&data)).unwrap_err().to_string();
    assert!(
        message.contains("line 3, column 1 (tag): no particle_000005.em or the like in"),
        "{message}"
    );
    fs::write(data.join("particle_5.em"), "").unwrap();
    let images = open(Some(&data)).unwrap().list.find_images(Folders::default()).unwrap();
    let names: Vec<_> = images.paths.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(
        names,
        ["particle_00001.em", "particle_00002.em", "particle_5.em", "particle_000012.mrc"]
    );
    assert_eq!(images.bases, [(Base::Absolute, 4)]);
    fs::write(data.join("particle_05.em"), "").unwrap();
    let message = open(Some(&data)).unwrap_err().to_string();
    assert!(message.ends_with("are both number 5"), "{message}");
    fs::remove_file(data.join("particle_05.em")).unwrap();
    fs::copy(&table, data.join("crop.tbl")).unwrap();
    let beside = ParticleFile::open(&data.join("crop.tbl"), Folders::default()).unwrap().list;
    assert!(beside.particles.iter().all(|particle| particle.image.is_some()));

    let row = "7 ".to_owned() + &"0 ".repeat(25) + "\n";
    let twice = DynamoTable::parse(row.repeat(2).into(), Path::new("t.tbl")).unwrap();
    let message = ParticleFile::from_dynamo(twice, Folders::default()).unwrap_err().to_string();
    assert!(
        message.contains("line 2, column 1 (tag): 7 is the tag of a particle before"),
        "{message}"
    );
    let nameless = DynamoTable::parse(row.replace('7', "NaN").into(), Path::new("t.tbl")).unwrap();
    assert!(ParticleFile::from_dynamo(nameless, Folders::default()).is_err());

    for number in [6, 12, 18] {
        fs::write(data.join(format!("subtomo_{number}.mrc")), "").unwrap();
    }
    let stopgap = Path::new(REFERENCE).join("stopgap.star");
    let stopgap =
        ParticleFile::open(&stopgap, Folders { project: None, data: Some(&data) }).unwrap();
    let images = stopgap.list.find_images(Folders::default()).unwrap();
    assert_eq!(*images.paths[2], data.join("subtomo_18.mrc"));
}

#[test]
fn what_is_wrong_is_named() {
    let optics = "data_optics\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n";
    let particles = "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\na.mrc ?\n";
    let grouped =
        |rows: &str, group: &str| format!("{optics}{rows}{particles}").replace('?', group);
    let cases = [
        ("data_x\n_a 1\n".to_owned(), "no table of particles: none is data_particles"),
        ("data_particles\nloop_\n_rlnImageName\n".to_owned(), "data_particles lists no particles"),
        ("data_particles\n_rlnImageName a\n".to_owned(), "data_particles lists no particles"),
        (
            "data_a\nloop_\n_rlnImageName\na\ndata_b\nloop_\n_rlnImageName\nb\n".to_owned(),
            "several tables could list the particles: data_a, data_b",
        ),
        (grouped("1 2.5\n", "2"), "line 10, rlnOpticsGroup: data_optics has no group 2"),
        (grouped("1 2.5\n", "x"), "line 10, rlnOpticsGroup: \"x\" is not an integer"),
        (grouped("1 2.5\n1 3\n", "1"), "line 6, rlnOpticsGroup: this optics group is there twice"),
        (grouped("1 0\n", "1"), "line 5, rlnImagePixelSize: 0 must be positive"),
        ("data_optics\n_a 1\n".to_owned() + particles, "data_optics has no column rlnOpticsGroup"),
        ("data_\nloop_\n_rlnImageName\n0@a\n".to_owned(), "\"0@a\" names no image"),
        ("data_\nloop_\n_rlnImageName\n''\n".to_owned(), "\"\" names no image"),
        (
            "data_\nloop_\n_rlnImageName\n_rlnClassNumber\na 1\nb 1.5\n".to_owned(),
            "line 6, rlnClassNumber: \"1.5\" is not an integer",
        ),
        (
            "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnCoordinateZ\n1 nan 3\n".to_owned(),
            "line 6, rlnCoordinateY: \"nan\" is not a number",
        ),
        ("data_stopgap_motivelist\nloop_\n_class\n1\n".to_owned(), "has no column subtomo_num"),
        ("data_stopgap_motivelist\nloop_\n_subtomo_num\n".to_owned(), "has no rows"),
    ];
    for (text, expected) in cases {
        let message = error(&text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn doubtful_voxel_sizes_are_noted() {
    let notes = |text: &str| {
        let list = parse(text).unwrap().list;
        (list.particles[0].voxel_size, list.notes.join("\n"))
    };
    let particles = "data_particles\nloop_\n_rlnTomoName\n_rlnImageName\n";
    let one = "data_optics\nloop_\n_rlnOpticsGroup\n_rlnTomoTiltSeriesPixelSize\n_rlnTomoSubtomogramBinning\n1 1.5 4\n";
    assert_eq!(notes(&format!("{one}{particles}t a\n")), (6.0, String::new()));
    let (size, note) = notes(&format!("{one}2 3 4\n{particles}t a\n"));
    assert!(size == 0.0 && note.contains("do not say their rlnOpticsGroup"), "{note}");
    assert!(note.contains("does not state the voxel size"), "{note}");
    let (size, note) = notes(&format!("{particles}_rlnOpticsGroup\nt a 1\n"));
    assert!(size == 0.0 && note.contains("there is no data_optics"), "{note}");
    let (size, note) = notes(&format!("{one}{particles}_rlnPixelSize\nt a 6.0001\nt b 3\n"));
    assert_eq!(size, 6.0);
    assert!(
        note.starts_with(
            "1 particles state two voxel sizes, first in line 13: rlnPixelSize 3, but 6 by"
        ),
        "{note}"
    );
    let (size, note) = notes(&format!("{particles}_rlnDetectorPixelSize\nt a 5\n"));
    assert!(size == 0.0 && note.contains("does not state"), "5 micrometres are no voxel size");
}

#[test]
fn classes_are_written_where_each_program_looks_for_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.star");
    for (name, label) in [("relion40.star", "rlnClassNumber"), ("stopgap.star", "class")] {
        let file = open(name).unwrap();
        let changes = Changes::new()
            .class(|row| 5 + row as u32)
            .column("cinetomoProbability1", |row| row as f32 / 8.0)
            .keep(|row| row != 1);
        file.save(&path, &changes).unwrap();
        let star = Star::read(&path).unwrap();
        let table = relion::particle_table(&star).unwrap();
        let column = |label| table.column(label).unwrap();
        let values: Vec<_> = table
            .rows()
            .map(|row| {
                (
                    row.get(column(label)).integer().unwrap(),
                    row.get(column("cinetomoProbability1")).number().unwrap(),
                )
            })
            .collect();
        assert_eq!(values, [(5, 0.0), (7, 0.25)], "{name}");
        assert_eq!(table.labels().len(), relion_labels(&file) + 1);
    }
    let untouched = open("relion31.star").unwrap();
    untouched.save(&path, &Changes::new()).unwrap();
    assert_eq!(
        fs::read(&path).unwrap(),
        fs::read(Path::new(REFERENCE).join("relion31.star")).unwrap()
    );

    let dynamo = open("dynamo35.tbl").unwrap();
    dynamo.save(&path, &Changes::new().class(|_| 9).keep(|row| row == 3)).unwrap();
    let table = DynamoTable::read(&path).unwrap();
    assert_eq!((table.n_rows(), table.integer(0, crate::dynamo::CLASS).unwrap()), (1, Some(9)));
    let refused = dynamo.save(&path, &Changes::new().column("p", |_| 0.5)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

fn relion_labels(file: &ParticleFile) -> usize {
    let Document::Star(star) = &file.document else { panic!("a STAR file") };
    relion::particle_table(star).unwrap().labels().len()
}

#[test]
fn damage_never_panics_and_cuts_are_told() {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    for name in ["relion31.star", "relion40.star", "relion50.star", "stopgap.star"] {
        let whole = fs::read(Path::new(REFERENCE).join(name)).unwrap();
        let read = |bytes: Vec<u8>| {
            ParticleFile::from_star(Star::parse(bytes, Path::new("nowhere/x"))?, Folders::default())
        };
        for end in 0..whole.len() {
            // A part that ends with a line is a sound shorter list; any other is an error or says that it is cut.
            if let Ok(file) = read(whole[..end].to_vec()) {
                let line = whole[..end].rsplit(|&byte| byte == b'\n').next().unwrap();
                let is_cut = line.iter().any(|byte| !byte.is_ascii_whitespace());
                let says = file.list.notes.iter().any(|note| note.contains("ends within a line"));
                assert_eq!(is_cut && !line.starts_with(b"#"), says, "{name}, {end} bytes");
            }
        }
        for _ in 0..3_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = b"\n 1-e.@'\"_\xff"[rng.random_range(0..11)];
            }
            let _ = read(bytes);
        }
    }
}
