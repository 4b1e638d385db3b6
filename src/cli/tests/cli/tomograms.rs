//! From tomograms to boxes and classes.

use std::{fs, thread, time::Duration};

use cinetomo_formats::{mrc, star::Star, volumes};
use ndarray::Array3;

use crate::lab::{Lab, Run, leftovers};

/// Particles of a phantom in little noise, with the list of them.
fn with_tomogram(lab: Lab) -> Lab {
    lab.cinetomo(
        "simulate --tomogram 40 112 96 --phantoms apoferritin T20S~proteasome --per-class 4 --snr 2 -o tomo.mrc",
    )
    .ok();
    lab
}

/// Columns of a table as numbers.
fn numbers<const N: usize>(lab: &Lab, list: &str, labels: [&str; N]) -> Vec<[f64; N]> {
    let star = Star::read(&lab.at(list)).unwrap();
    let table = star.table("particles").unwrap().unwrap();
    let columns = labels.map(|label| table.column(label).unwrap_or_else(|| panic!("no {label}")));
    table.rows().map(|row| columns.map(|column| row.get(column).number().unwrap())).collect()
}

const POSITION: [&str; 3] = ["rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX"];

fn distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn particles_are_picked_where_they_are() {
    let lab = with_tomogram(Lab::new());
    let pick = "pick -i tomo.mrc --contrast dark --diameter 130 --rule deviations --threshold 4 --min-distance 12";
    let json = lab
        .cinetomo(&format!("{pick} -o picks.star picks.csv picks.tbl --picture picks.png --json"))
        .json();
    let truth = numbers(&lab, "tomo.star", POSITION);
    let picks = numbers(&lab, "picks.star", POSITION);
    assert_eq!((truth.len(), json["n"].as_u64()), (8, Some(picks.len() as u64)));
    // Complexes are no balls: an extremum may lie off the centre, but within the radius of 6.5 voxels.
    let is_found = |at: &[f64; 3]| picks.iter().any(|pick| distance(at, pick) < 6.0);
    assert!(truth.iter().all(is_found) && picks.len() <= 9, "{truth:?}\n{picks:?}");

    // All lists say the same; Dynamo counts from 1.
    let csv = lab.read("picks.csv");
    let table = lab.read("picks.tbl");
    for ((pick, csv), row) in picks.iter().zip(csv.lines().skip(1)).zip(table.lines()) {
        let csv: Vec<f64> = csv.split(',').skip(1).take(3).map(|at| at.parse().unwrap()).collect();
        let row: Vec<f64> = row.split(' ').map(|at| at.parse().unwrap()).collect();
        assert!(distance(pick, &[csv[0], csv[1], csv[2]]) < 1e-9);
        assert!(distance(pick, &[row[25] - 1.0, row[24] - 1.0, row[23] - 1.0]) < 1e-9);
    }
    assert_eq!(table.lines().count(), picks.len());
    let png = fs::read(lab.at("picks.png")).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    // Four pixels to a voxel: 112 + 40 voxels high, 96 + 40 wide, and a gap.
    assert_eq!((&png[1..4], side(16), side(20)), (&b"PNG"[..], 4 * 136 + 4, 4 * 152 + 4));

    // Little memory, the same picks; the run file repeats the run; another format of the same tomogram does not matter.
    lab.cinetomo(&format!("{pick} --pick-memory 1 -o small.star")).ok();
    assert_eq!(lab.read("small.star"), lab.read("picks.star"));
    fs::rename(lab.at("picks.star"), lab.at("first.star")).unwrap();
    lab.cinetomo("--config picks.star.run.toml --force").ok();
    assert_eq!(lab.read("picks.star"), lab.read("first.star"));
    let voxels = volumes::open(lab.at("tomo.mrc")).unwrap().read(0).unwrap();
    // EM: a PC's (6), 32-bit floats (5), extents, 512 bytes in all.
    let mut em = vec![6, 0, 0, 5];
    em.extend([96i32, 112, 40].iter().flat_map(|extent| extent.to_le_bytes()));
    em.resize(512, 0);
    em.extend(voxels.iter().flat_map(|voxel| voxel.to_le_bytes()));
    lab.write("tomo.em", em);
    lab.cinetomo(&format!("{} --voxel-size 10 -o em.star", pick.replace("tomo.mrc", "tomo.em")))
        .ok();
    assert_eq!(numbers(&lab, "em.star", POSITION), picks);

    lab.cinetomo("pick -i tomo.mrc -o no.star").fails(2, "--contrast: say whether");
    lab.cinetomo("pick -i tomo.mrc --contrast dark -o no.txt").fails(2, ".txt is no format");
    lab.cinetomo("pick -i tomo.mrc --contrast dark -o no.star --picture no.gif")
        .fails(2, "expected .png");
    lab.cinetomo("pick -i tomo.star --contrast dark -o no.star").fails(1, "tomo.star: begins with");
    lab.cinetomo("pick -i tomo.mrc --contrast dark --sigma 0.1 -o no.star")
        .fails(1, "tomo.mrc: sigma is 0.1");
    assert!(!lab.at("no.star").exists() && leftovers(&lab).is_empty());
}

#[test]
fn boxes_are_the_tomograms_voxels_with_all_that_the_list_said() {
    let lab = Lab::new();
    let voxels = Array3::from_shape_fn((30, 40, 50), |(z, y, x)| {
        ((z * 2000 + y * 50 + x) % 977) as f32 - 400.0
    });
    for (name, factor) in [("TS_1.mrc", 1.0), ("TS_2.mrc", 2.0)] {
        mrc::write(lab.at(name), voxels.mapv(|voxel| factor * voxel).view(), 8.0).unwrap();
    }
    let head = "data_particles\n\nloop_\n_rlnTomoName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n\
                _rlnCoordinateZ #4\n_rlnAngleRot #5\n_mine #6\n_rlnOriginXAngst #7\n";
    lab.write(
        "list.star",
        format!(
            "{head}TS_2.tomostar 25 20 15 12.5 'two words' 1\nTS_1.tomostar 20 21 14 -3 b 2\nTS_2.tomostar 1 2 3 7 c 3\n"
        ),
    );
    let extract = "extract --resampling nearest --box-size 8";
    let both = "-i TS_1.mrc TS_2.mrc --particles list.star";
    let json = lab.cinetomo(&format!("{extract} {both} -o all.mrcs --json")).json();
    assert_eq!((&json["n"], &json["n_tomograms"]), (&3.into(), &2.into()));
    let boxes = volumes::open(lab.at("all.mrcs")).unwrap();
    assert_eq!((boxes.n_volumes(), boxes.shape(), boxes.voxel_size()), (3, [8; 3], 8.0));
    // The position lies on voxel 4; boxes stand in the order of the tomograms.
    let slice = |z: usize, y: usize, x: usize| {
        voxels.slice(ndarray::s![z - 4..z + 4, y - 4..y + 4, x - 4..x + 4]).to_owned()
    };
    assert_eq!(boxes.read(0).unwrap(), slice(14, 21, 20));
    assert_eq!(boxes.read(1).unwrap(), slice(15, 20, 25) * 2.0);
    let star = Star::read(&lab.at("all.star")).unwrap();
    let table = star.table("particles").unwrap().unwrap();
    let column = |label: &str| -> Vec<&str> {
        let column = table.column(label).unwrap_or_else(|| panic!("no {label}"));
        table.rows().map(|row| row.get(column).text().unwrap()).collect()
    };
    assert_eq!(column("rlnImageName")[1], "000002@all.mrcs");
    assert_eq!(column("rlnTomoName"), ["TS_1.tomostar", "TS_2.tomostar", "TS_2.tomostar"]);
    assert_eq!(column("rlnMicrographName"), ["TS_1.mrc", "TS_2.mrc", "TS_2.mrc"]);
    assert_eq!(column("mine"), ["b", "two words", "c"]);
    assert_eq!(column("rlnAngleRot"), ["-3", "12.5", "7"]);
    // Less than half a voxel: positions are rounded to where they were. The list states where boxes are, and no shifts.
    assert!(table.column("rlnOriginXAngst").is_none());
    assert_eq!(column("rlnCoordinateX"), ["19.750", "24.875", "0.625"]);

    // One tomogram of two; what reaches beyond it is skipped, or an error.
    let run = lab
        .cinetomo(&format!("{extract} -i TS_2.mrc --particles list.star --edge skip -o two.mrcs"));
    assert!(run.stderr.contains("1 of 3 particles are in other tomograms"), "{}", run.stderr);
    assert!(run.ok().contains("1 boxes"));
    lab.cinetomo(&format!("{extract} {both} --edge fail -o no.mrcs"))
        .fails(1, "TS_2.mrc: particles 1 to 2: position 1");

    // Whatever a list counts from, the box is the same.
    lab.write("one.csv", "x,y,z,note\n20,21,14,a\n");
    let mut row = ["0"; 26];
    (row[0], row[19], row[23], row[24], row[25]) = ("1", "1", "21", "22", "15");
    lab.write("one.tbl", row.join(" ") + "\n");
    lab.write(
        "one.star",
        "data_particles\nloop_\n_rlnCenteredCoordinateXAngst\n_rlnCenteredCoordinateYAngst\n\
         _rlnCenteredCoordinateZAngst\n-40 8 -8\n",
    );
    lab.write("half.csv", "x,y,z\n40,42,28\n");
    for (list, more) in [
        ("one.csv", ""),
        ("one.tbl", ""),
        ("one.star", ""),
        ("half.csv", "--position-voxel-size 4"),
        ("one.csv", "--contrast bright --box-contrast dark"),
    ] {
        let run = format!("{extract} -i TS_1.mrc --particles {list} {more} -o one.mrcs --force");
        lab.cinetomo(&run).ok();
        let expected = slice(14, 21, 20) * if more.contains("dark") { -1.0 } else { 1.0 };
        assert_eq!(volumes::open(lab.at("one.mrcs")).unwrap().read(0).unwrap(), expected, "{run}");
    }
    assert_eq!(numbers(&lab, "one.star", POSITION), [[14.0, 21.0, 20.0]]);

    // Boxes at another voxel size; tomograms as the list names them.
    lab.write("paths.csv", "tomogram,z,y,x\nTS_1.mrc,14,21,20\n");
    lab.cinetomo("extract --particles paths.csv --box-size 6 --box-voxel-size 16 -o coarse.mrcs")
        .ok();
    let coarse = volumes::open(lab.at("coarse.mrcs")).unwrap();
    assert_eq!((coarse.shape(), coarse.voxel_size()), ([6; 3], 16.0));

    lab.cinetomo("extract --particles list.star -o no.mrcs")
        .fails(1, "list.star: there is no file TS_2.tomostar");
    lab.cinetomo("extract -i all.mrcs --particles list.star -o no.mrcs")
        .fails(1, "all.mrcs: list.star lists no particles of it, but of TS_2.tomostar");
    lab.write("bad.csv", "x,y,z\n1,2,three\n");
    lab.cinetomo("extract -i TS_1.mrc --particles bad.csv -o no.mrcs")
        .fails(1, "bad.csv: line 2, z: \"three\" is no number");
    lab.write("outside.csv", "x,y,z\n1,2,300\n");
    lab.cinetomo("extract -i TS_1.mrc --particles outside.csv -o no.mrcs")
        .fails(1, "TS_1.mrc: particles 1 to 1: position 0");
    assert!(!lab.at("no.mrcs").exists() && leftovers(&lab).is_empty());
}

/// A tomogram of 30 x 40 x 50 voxels of 8 angstrom without order.
fn write_ramps(lab: &Lab, name: &str) -> Array3<f32> {
    let voxels = Array3::from_shape_fn((30, 40, 50), |(z, y, x)| {
        ((z * 2000 + y * 50 + x) % 977) as f32 - 400.0
    });
    mrc::write(lab.at(name), voxels.view(), 8.0).unwrap();
    voxels
}

#[test]
fn refined_shifts_are_applied_with_the_sign_and_unit_of_each_program() {
    let lab = Lab::new();
    write_ramps(&lab, "TS_1.mrc");
    let optics = |labels: &str, values: &str| {
        let labels: String = labels.split(' ').map(|label| format!("_rln{label}\n")).collect();
        format!("data_optics\nloop_\n_rlnOpticsGroup\n{labels}1 {values}\n\n")
    };
    let table = |name: &str, labels: &str, values: &str| {
        let labels: String = labels.split(' ').map(|label| format!("_{label}\n")).collect();
        format!("data_{name}\nloop_\n{labels}{values}\n")
    };
    let voxel = "rlnCoordinateX rlnCoordinateY rlnCoordinateZ";
    let centred =
        "rlnCenteredCoordinateXAngst rlnCenteredCoordinateYAngst rlnCenteredCoordinateZAngst";
    let angstrom = "rlnOriginXAngst rlnOriginYAngst rlnOriginZAngst rlnOpticsGroup";
    // Where each particle is after all of them, by hand: z 14, y 21, x 20; before, it is where the second number says.
    let mut dynamo = ["0"; 26];
    for (column, value) in
        [(1, "1"), (4, "1"), (5, "-1"), (6, "2"), (20, "1"), (24, "20"), (25, "23"), (26, "13")]
    {
        dynamo[column - 1] = value;
    }
    for (list, text, unshifted) in [
        // 21 - 8 / 8, 20 + 8 / 8, 16 - 16 / 8.
        (
            "relion31.star",
            optics("ImagePixelSize", "8")
                + &table("particles", &format!("{voxel} {angstrom}"), "21 20 16 8 -8 16 1"),
            [16.0, 20.0, 21.0],
        ),
        // Pixels of the image, 4 angstrom here: 21 - 2 4 / 8, 20 + 2 4 / 8, 16 - 4 4 / 8. What is not there is 0.
        (
            "relion30.star",
            table(
                "",
                &format!(
                    "{voxel} rlnOriginX rlnOriginY rlnOriginZ rlnDetectorPixelSize rlnMagnification"
                ),
                "21 20 16 2 -2 4 4 10000",
            ),
            [16.0, 20.0, 21.0],
        ),
        ("no_y.star", table("", &format!("{voxel} rlnOriginX"), "21 21 14 1"), [14.0, 21.0, 21.0]),
        // Pixels of the tilt series, 4 angstrom: (42 - 8 / 4) 4 / 8.
        (
            "relion40.star",
            optics("TomoTiltSeriesPixelSize TomoSubtomogramBinning", "4 2")
                + &table("particles", &format!("{voxel} {angstrom}"), "42 40 32 8 -8 16 1"),
            [16.0, 20.0, 21.0],
        ),
        // -32 / 8 + 50 / 2 = 21, 0 / 8 + 40 / 2 = 20, 8 / 8 + 30 / 2 = 16.
        (
            "relion50.star",
            optics("ImagePixelSize", "8")
                + &table("particles", &format!("{centred} {angstrom}"), "-32 0 8 8 -8 16 1"),
            [16.0, 20.0, 21.0],
        ),
        // Turned by 90 degrees about z: (x, y) = (8, 8) is (8, -8) in the tomogram.
        (
            "turned.star",
            optics("ImagePixelSize", "8")
                + &table(
                    "particles",
                    &format!(
                        "{centred} {angstrom} rlnTomoSubtomogramRot rlnTomoSubtomogramTilt rlnTomoSubtomogramPsi"
                    ),
                    "-32 0 8 8 8 16 1 90 0 0",
                ),
            [16.0, 20.0, 21.0],
        ),
        // From 1 on, and added.
        (
            "stopgap.star",
            table(
                "stopgap_motivelist",
                "motl_idx subtomo_num orig_x orig_y orig_z x_shift y_shift z_shift",
                "1 1 20 23 13 1 -1 2",
            ),
            [12.0, 22.0, 19.0],
        ),
        ("dynamo.tbl", dynamo.join(" ") + "\n", [12.0, 22.0, 19.0]),
    ] {
        lab.write(list, text);
        let extract =
            format!("extract -i TS_1.mrc --particles {list} --box-size 8 --force -o boxes.mrcs");
        lab.cinetomo(&extract).ok();
        assert_eq!(numbers(&lab, "boxes.star", POSITION), [[14.0, 21.0, 20.0]], "{list}");
        let written = lab.read("boxes.star");
        assert!(!written.contains("Origin") && !written.contains("_shift"), "{list}: {written}");
        let run = lab.cinetomo(&format!("{extract} --ignore-shifts -v"));
        assert!(run.stderr.contains("...) are not applied"), "{list}: {}", run.stderr);
        assert_eq!(numbers(&lab, "boxes.star", POSITION), [unshifted], "{list}");
        if !list.ends_with(".tbl") {
            let written = lab.read("boxes.star");
            assert!(written.contains("Origin") || written.contains("_shift"), "{list}: {written}");
        }
    }
    let info = lab.cinetomo("info relion40.star").ok();
    let line = "positions: in voxels of 4 angstrom; 1 with refined shifts (rlnOriginZAngst, rlnOriginYAngst, rlnOriginXAngst)";
    assert!(info.contains(line), "{info}");
    let voxels = volumes::open(lab.at("TS_1.mrc")).unwrap().read(0).unwrap();
    mrc::write(lab.at("unknown.mrc"), voxels.view(), 0.0).unwrap();
    let extract = "extract -i unknown.mrc -o no.mrcs --particles";
    lab.cinetomo(&format!("{extract} relion31.star"))
        .fails(1, "relion31.star: refined shifts (--ignore-shifts leaves them out) are in angstrom, and the voxel size of unknown.mrc is unknown");
    lab.cinetomo(&format!("{extract} relion50.star --position-voxel-size 4"))
        .fails(2, "--position-voxel-size 4: the positions of relion50.star are in angstrom");
    let run = lab.cinetomo(&format!("{extract} relion40.star --ignore-shifts --box-size 8"));
    assert!(
        run.stderr.contains(
            "the voxel size of unknown.mrc is unknown (--voxel-size) and taken for the same"
        ),
        "{run:?}"
    );
}

#[test]
fn a_tomogram_is_classified_as_its_boxes_are() {
    let lab = with_tomogram(Lab::new().with_data());
    let tomogram = "tomogram -i tomo.mrc --particles tomo.star -m tuned.safetensors";
    let json = lab
        .cinetomo(&format!("{tomogram} --contrast dark -o t.star t.csv --picture t.png --json"))
        .json();
    assert_eq!((&json["n"], &json["box_voxel_size"]), (&8.into(), &10.0.into()));
    lab.cinetomo("extract -i tomo.mrc --contrast dark --particles tomo.star -o boxes.mrcs").ok();
    lab.cinetomo("classify -m tuned.safetensors -i boxes.star --contrast dark -o b.star b.csv")
        .ok();
    let labels = ["cinetomoProbability_apoferritin", "cinetomoProbability_T20S_proteasome"];
    assert_eq!(numbers(&lab, "t.star", labels), numbers(&lab, "b.star", labels));
    assert_eq!(
        numbers(&lab, "t.star", ["rlnClassNumber"]),
        numbers(&lab, "b.star", ["rlnClassNumber"])
    );
    assert_eq!(numbers(&lab, "t.star", POSITION), numbers(&lab, "tomo.star", POSITION));
    let header = lab.read("t.csv").lines().next().unwrap().to_owned();
    assert!(header.starts_with("tomogram,z,y,x,label,probability,probability_"), "{header}");

    // Picked in the same run, with a choice of what is written.
    let picked = "--contrast dark --diameter 130 --rule deviations --threshold 6 --min-distance 12";
    let run = format!("tomogram -i tomo.mrc -m tuned.safetensors {picked}");
    lab.cinetomo(&format!("pick -i tomo.mrc {picked} -o picks.star")).ok();
    let json = lab
        .cinetomo(&format!(
            "{run} --reject distance --keep apoferritin -o kept.star kept.tbl --json"
        ))
        .json();
    assert_eq!(json["n"].as_u64(), Some(numbers(&lab, "picks.star", POSITION).len() as u64));
    let kept = numbers(&lab, "kept.star", ["rlnClassNumber", "cinetomoDistance"]);
    assert_eq!(json["n_per_class"][0].as_u64(), Some(kept.len() as u64));
    assert!(kept.iter().all(|row| row[0] == 1.0 && row[1] > 0.0));
    assert_eq!(lab.read("kept.tbl").lines().count(), kept.len());
    lab.cinetomo(&format!("{run} --keep unicorn -o no.star")).fails(2, "the model's classes are");
    assert!(!lab.at("no.star").exists() && leftovers(&lab).is_empty());
}

#[test]
fn contrast_is_turned_to_the_models_and_warned_of_where_it_differs() {
    let lab = with_tomogram(Lab::new().with_data());
    let turned = volumes::open(lab.at("tomo.mrc")).unwrap().read(0).unwrap().mapv(|voxel| -voxel);
    mrc::write(lab.at("bright.mrc"), turned.view(), 10.0).unwrap();
    let classify = |tomogram: &str, more: &str, out: &str| {
        let run = lab.cinetomo(&format!(
            "tomogram -i {tomogram} --particles tomo.star -m tuned.safetensors {more} -o {out}"
        ));
        let warns = run.stderr.contains("particles are Bright on their background, but Dark");
        run.ok();
        warns
    };
    // The model was trained on dark particles: boxes of a tomogram that says otherwise are inverted.
    assert!(!classify("tomo.mrc", "--contrast dark", "dark.csv"));
    assert!(!classify("bright.mrc", "--contrast bright", "bright.csv"));
    assert_eq!(lab.read("dark.csv").replace("tomo.mrc", "bright.mrc"), lab.read("bright.csv"));
    // Who asks for the wrong sign is warned, and gets other classes.
    assert!(classify("tomo.mrc", "--contrast dark --box-contrast bright", "wrong.csv"));
    assert_ne!(lab.read("wrong.csv"), lab.read("dark.csv"));

    // The list of extracted boxes says their sign: no option is needed to be warned.
    let extract = "extract -i tomo.mrc --particles tomo.star --contrast dark";
    let warns = |run: Run| {
        let warns = run.stderr.contains("particles are Bright on their background, but Dark");
        run.ok();
        warns
    };
    lab.cinetomo(&format!("{extract} --box-contrast bright -o inverted.mrcs")).ok();
    lab.cinetomo(&format!("{extract} -o plain.mrcs")).ok();
    let classify = "classify -m tuned.safetensors";
    assert!(warns(lab.cinetomo(&format!("{classify} -i inverted.star -o inverted.csv"))));
    assert!(!warns(lab.cinetomo(&format!("{classify} -i plain.star -o plain.csv"))));
    let run = lab.cinetomo(&format!("{classify} -i plain.star --contrast bright -o said.csv"));
    assert!(run.stderr.contains("plain.star says dark particles; --contrast bright is used"));
    assert!(warns(run));
}

/// Most memory that a run held, in mebibytes, as Linux counts it; polled until the run ends.
fn peak_of(lab: &Lab, arguments: &str) -> f64 {
    let mut child = lab.start(arguments);
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or(0.0) / 1024.0);
        thread::sleep(Duration::from_millis(5));
    }
    Lab::end(child).ok();
    peak
}

#[test]
fn memory_does_not_grow_with_the_number_of_boxes() {
    let lab = with_tomogram(Lab::new().with_data());
    let write = |name: &str, n: usize| {
        let rows = (0..n).map(|index| {
            format!("{},{},{}\n", 20 + index % 3, 40 + index % 30, 30 + index / 30 % 35)
        });
        lab.write(name, format!("z,y,x\n{}", rows.collect::<String>()));
    };
    // A chunk holds 128 boxes of 16 MiB together: one chunk and four; ten and forty.
    write("few.csv", 128);
    write("many.csv", 512);
    let tomogram = "tomogram -i tomo.mrc --contrast dark -m tuned.safetensors";
    let few = peak_of(&lab, &format!("{tomogram} --particles few.csv -o few.star"));
    let many = peak_of(&lab, &format!("{tomogram} --particles many.csv -o many.star"));
    // All boxes at once would be 48 MiB more, twice that while they are cut out.
    assert!(few > 100.0 && many < few + 30.0, "{few} MiB for 128, {many} MiB for 512");

    write("few.csv", 1280);
    write("many.csv", 5120);
    let extract = "extract -i tomo.mrc --resampling nearest";
    let few = peak_of(&lab, &format!("{extract} --particles few.csv -o few_boxes.mrcs"));
    let many = peak_of(&lab, &format!("{extract} --particles many.csv -o many_boxes.mrcs"));
    assert!(few > 20.0 && many < few + 30.0, "{few} MiB for 1280, {many} MiB for 5120");
}

#[test]
fn simulated_data_are_as_crowded_and_blurred_as_asked() {
    let lab = Lab::new();
    let simulate = "simulate --phantoms apoferritin --per-class 2 --snr inf --contrast bright";
    let voxels = |name: &str| volumes::open(lab.at(name)).unwrap().read(0).unwrap();
    let energy = |name: &str| voxels(name).iter().map(|voxel| voxel * voxel).sum::<f32>();
    lab.cinetomo(&format!("{simulate} -o plain.mrc")).ok();
    lab.cinetomo(&format!("{simulate} --neighbours 6 -o crowded.mrc")).ok();
    lab.cinetomo(&format!("{simulate} --envelope 0.2 -o blurred.mrc")).ok();
    lab.cinetomo(&format!("{simulate} --band-limit 0.2 -o limited.mrc")).ok();
    lab.cinetomo(&format!("{simulate} --tilt-axis x --beam y -o turned.mrc")).ok();
    assert!(energy("crowded.mrc") > 1.2 * energy("plain.mrc"));
    assert!(energy("blurred.mrc") < 0.9 * energy("plain.mrc"));
    assert!(energy("limited.mrc") < 0.9 * energy("plain.mrc"));
    assert_ne!(voxels("turned.mrc"), voxels("plain.mrc"));
    let json = lab
        .cinetomo(
            "simulate --preset liu2020 --phantoms apoferritin --per-class 1 -o liu.mrc --json",
        )
        .json();
    assert_eq!(json["snr"].as_f64(), Some(0.03));

    // A tomogram's particles are where its list says: bright there, on the mean of the rest.
    lab.cinetomo(
        "simulate --tomogram 32 64 48 --phantoms T20S~proteasome --per-class 3 --snr inf --defocus 0 --contrast bright \
         -o tomo.mrc",
    )
    .ok();
    let tomogram = voxels("tomo.mrc");
    assert_eq!(tomogram.dim(), (32, 64, 48));
    let mean = tomogram.mean().unwrap();
    for at in numbers(&lab, "tomo.star", POSITION) {
        let [z, y, x] = at.map(|along| along.round() as usize);
        let near = tomogram.slice(ndarray::s![z - 3..z + 4, y - 3..y + 4, x - 3..x + 4]);
        assert!(near.mean().unwrap() > mean + 0.3 * near.std(0.0), "{at:?}");
    }
    assert!(lab.read("tomo.csv").starts_with("tomogram,z,y,x,label\ntomo.mrc,"));
    lab.cinetomo("simulate --tomogram 8 8 8 --per-class 50 -o no.mrc").fails(1, "");
    lab.cinetomo("simulate --tomogram 32 64 48 --box-size 32 -o no.mrc").fails(2, "--box-size");
    assert!(!lab.at("no.mrc").exists() && leftovers(&lab).is_empty());
}
