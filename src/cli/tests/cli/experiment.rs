//! Experiments: records that go on where they were stopped, and tables beside the paper's.

use std::{fs, io::Write};

use cinetomo_formats::volumes;

use crate::lab::{Lab, leftovers};

#[test]
fn an_experiment_goes_on_and_ends_in_a_table() {
    let lab = Lab::new().with_data();
    let checkpoint = cinetomo_tests::i3d_checkpoint();
    let experiment = |more: &str| {
        lab.cinetomo(&format!(
            "experiment --labels train.csv --checkpoint {} --contrast dark --views 1 --epochs 0 --paper real --json \
             -o records.csv {more}",
            checkpoint.display()
        ))
    };
    let json = experiment("--fractions 0.5,1 --starts probe,random --seeds 0").json();
    assert_eq!(json["n_runs"], 4);
    let records = lab.read("records.csv");
    let rows: Vec<Vec<&str>> =
        records.lines().skip(1).map(|line| line.split(',').collect()).collect();
    // 36 boxes: 21 to train on (7 of each class), 7 or 8 to test on; half of 7 is 4 or 3.
    for row in &rows {
        let (n_train, n_test): (usize, usize) = (row[4].parse().unwrap(), row[5].parse().unwrap());
        let expected = if row[1] == "1" { 18..=24 } else { 9..=12 };
        assert!(expected.contains(&n_train) && (6..=9).contains(&n_test), "{row:?}");
        let accuracy: f64 = row[7].parse().unwrap();
        let n_right = accuracy * n_test as f64;
        assert!((n_right - n_right.round()).abs() < 1e-9, "{row:?}");
    }
    // The probe of video features is better than chance.
    let probe = rows.iter().find(|row| row[1] == "1" && row[2] == "probe").unwrap();
    assert!(probe[7].parse::<f64>().unwrap() > 0.5, "{probe:?}");

    // Killed in the middle of a line; two runs are there, three are made.
    let mut cut: String = records.lines().take(3).map(|line| format!("{line}\n")).collect();
    cut += "train,1,pro";
    lab.write("records.csv", &cut);
    let run = experiment("--fractions 0.5,1 --starts probe,random --seeds 0");
    assert!(run.stderr.contains("2 of 4 runs are there already"), "{run:?}");
    let json = run.json();
    assert_eq!(json["n_runs"], 4);
    assert!(lab.read("records.csv").starts_with(&cut[..cut.rfind('\n').unwrap()]));
    // Scores are those of the first time: everything random has a seed.
    let scores = |text: &str| -> Vec<String> {
        let mut rows: Vec<String> = text
            .lines()
            .map(|line| line.split(',').take(10).collect::<Vec<_>>().join(","))
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(scores(&lab.read("records.csv")), scores(&records));

    let table = lab.read("records.md");
    assert!(table.contains("| train | 100 | random |"), "{table}");
    assert!(table.contains("| 98.67 | 0.9998 | 1 |"), "{table}");
    let other = lab.cinetomo(
        "experiment --labels train.csv --random --contrast dark --epochs 3 -o records.csv",
    );
    other.fails(1, "its runs were made with another --");
    assert!(leftovers(&lab).is_empty());
}

/// An archive as MedMNIST3D's: unsigned bytes, labels of shape [n, 1].
fn write_medmnist(lab: &Lab, name: &str) {
    let stack = volumes::open(lab.at("train.mrc")).unwrap();
    let mut archive = zip::ZipWriter::new(fs::File::create(lab.at(name)).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut add = |name: String, shape: String, bytes: &[u8]| {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        let text = format!("{text:<117}\n");
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&(text.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
        archive.write_all(bytes).unwrap();
    };
    for (name, range) in [("train", 0..18), ("val", 18..24), ("test", 24..36)] {
        let n = range.len();
        let mut voxels = Vec::new();
        for index in range.clone() {
            let volume = stack.read_block(index, [2; 3], [28; 3]).unwrap();
            let (low, high) =
                volume.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            voxels.extend(volume.iter().map(|voxel| (255.0 * (voxel - low) / (high - low)) as u8));
        }
        add(format!("{name}_images"), format!("({n}, 28, 28, 28)"), &voxels);
        let labels: Vec<u8> = range.map(|index| (index % 3) as u8).collect();
        add(format!("{name}_labels"), format!("({n}, 1)"), &labels);
    }
    archive.finish().unwrap();
}

#[test]
fn medmnist_gives_its_row_of_table_2() {
    let lab = Lab::new().with_data();
    write_medmnist(&lab, "organmnist3d.npz");
    let json = lab.cinetomo("info organmnist3d.npz --json").json();
    assert_eq!(json["files"][0]["n"], serde_json::json!({"train": 18, "val": 6, "test": 12}));
    let json = lab
        .cinetomo("experiment --medmnist organmnist3d.npz --random --starts random --epochs 0 --views 1 --seeds 0,1 -o organ.csv --json")
        .json();
    let row = &json["rows"][0];
    assert_eq!((&row["dataset"], &row["n_runs"]), (&"organmnist3d".into(), &2.into()));
    assert_eq!(row["paper"], serde_json::json!({"accuracy_percent": 90.26, "auc": 0.9937}));
    assert!(row["accuracy_percent"]["sd"].is_number());
    let records = lab.read("organ.csv");
    assert!(records.contains("organmnist3d,1,random,0,18,12,3,"), "{records}");

    lab.cinetomo("classify -m tuned.safetensors -i organmnist3d.npz -o c.csv")
        .fails(2, "say which part with --part");
    lab.cinetomo("finetune --random --views 1 --preset probe -i organmnist3d.npz --part train -o m.safetensors").ok();
    lab.cinetomo("classify -m m.safetensors -i organmnist3d.npz --part test -o c.csv").ok();
    assert_eq!(lab.read("c.csv").lines().count(), 13);
}
