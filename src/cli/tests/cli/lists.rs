//! Particle lists: read, classified, written back with every column that they had.

use std::{fs, process::Command};

use cinetomo_formats::{csv::Results, star::Star};

use crate::lab::Lab;

/// A list of RELION 3.1 of the boxes in `test.mrc`, with columns that cinetomo does not know and odd blanks.
fn write_star(lab: &Lab) {
    fs::create_dir_all(lab.at("Extract/job008")).unwrap();
    fs::copy(lab.at("test.mrc"), lab.at("Extract/boxes.mrc")).unwrap();
    let mut text = "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n\
                    _rlnImageDimensionality #3\n1   10.000000   3\n\n# kept\ndata_particles\n\nloop_\n\
                    _rlnMicrographName #1\n_rlnImageName #2\n_rlnOpticsGroup #3\n_myScore #4\n_rlnClassNumber #5\n"
        .to_owned();
    for index in 0..24 {
        text += &format!(
            "TS_{:02}.tomostar\t000{:03}@Extract/boxes.mrc   1  {}e-01  {} \n",
            index % 2,
            index + 1,
            index,
            index % 3 + 1
        );
    }
    lab.write("Extract/job008/particles.star", text + "\n");
}

/// A line without its last cells.
fn without_last(line: &str, n: usize) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.truncate(words.len().saturating_sub(n));
    words.join(" ")
}

/// What processes that divide the work write is, one after the other, what one writes.
#[test]
fn shards_joined_are_the_whole() {
    let lab = Lab::new().with_data();
    write_star(&lab);
    let classify = |more: &str| {
        lab.cinetomo(&format!(
            "classify -m tuned.safetensors -i Extract/job008/particles.star --contrast dark {more}"
        ))
    };
    classify("-o whole.star whole.csv whole.npy").ok();
    for shard in 1..=3 {
        classify(&format!("--shard {shard}/3 -o {shard}.star {shard}.csv {shard}.npy")).ok();
    }
    let rows = |name: &str| -> Vec<String> {
        let text = lab.read(name);
        let lines = text.lines().filter(|line| line.starts_with("TS_"));
        lines.map(str::to_owned).collect()
    };
    let joined: Vec<String> = (1..=3).flat_map(|shard| rows(&format!("{shard}.star"))).collect();
    assert_eq!(joined, rows("whole.star"));
    assert!((1..=3).all(|shard| rows(&format!("{shard}.star")).len() == 8));

    // As docs/shards.md says.
    let awk = ["awk", "FNR > 1 || NR == 1", "1.csv", "2.csv", "3.csv"];
    let output = Command::new(awk[0]).args(&awk[1..]).current_dir(lab.at(".")).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), lab.read("whole.csv"));

    // 24 probabilities of three classes after the header; 8 in each shard.
    let bytes = |name: &str| fs::read(lab.at(name)).unwrap();
    let values = |name: &str, n: usize| {
        let bytes = bytes(name);
        bytes[bytes.len() - n * 3 * 4..].to_vec()
    };
    let joined: Vec<u8> = (1..=3).flat_map(|shard| values(&format!("{shard}.npy"), 8)).collect();
    assert_eq!(joined, values("whole.npy", 24));

    classify("--shard 4/3 -o a.csv").fails(2, "there are 3 shards, counted from 1");
    classify("--shard 2 -o a.csv").fails(2, "such as 2/8");
    classify("--shard 1/25 -o a.csv").fails(2, "--shard 1/25: there are only 24 boxes to share");
}

#[test]
fn star_files_keep_what_they_had() {
    let lab = Lab::new().with_data();
    write_star(&lab);
    let run = lab.cinetomo(
        "classify -m tuned.safetensors -i Extract/job008/particles.star --contrast dark --reject distance \
         -o classes.star classes.csv",
    );
    run.ok();
    let before = lab.read("Extract/job008/particles.star");
    let after = lab.read("classes.star");
    let results = Results::read(&lab.at("classes.csv")).unwrap();
    let rows = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("TS_")).map(str::to_owned).collect()
    };
    let heads = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("TS_")).map(str::to_owned).collect()
    };
    // Probability, three of classes and the distance are new; the class has its old place.
    for (old, new) in rows(&before).iter().zip(rows(&after)) {
        assert_eq!(without_last(old, 1), without_last(&new, 6));
    }
    let new_heads = heads(&after);
    assert!(heads(&before).iter().all(|line| new_heads.contains(line)));
    assert_eq!(new_heads.len(), heads(&before).len() + 5);

    let star = Star::read(&lab.at("classes.star")).unwrap();
    let table = star.table("particles").unwrap().unwrap();
    let column = |label: &str| table.column(label).unwrap();
    for (index, row) in table.rows().enumerate() {
        let class = row.get(column("rlnClassNumber")).integer().unwrap();
        assert_eq!(class, results.classes[index].map_or(0, |class| class as i64 + 1));
        let probability = row.get(column("cinetomoProbability_hemagglutinin")).number().unwrap();
        assert_eq!(probability as f32, results.probabilities[[index, 2]]);
        assert!(row.get(column("cinetomoDistance")).number().unwrap() > 0.0);
    }
    assert!(
        lab.read("classes.csv").lines().nth(1).unwrap().contains("TS_00.tomostar"),
        "groups are kept"
    );

    // A list that was classified can be classified again, and a share of it written.
    lab.cinetomo(
        "classify -m tuned.safetensors -i classes.star --contrast dark -o share.star --keep hemagglutinin --min-probability 0.5",
    )
    .ok();
    let share = lab.read("share.star");
    let kept = rows(&share);
    assert!(!kept.is_empty() && kept.len() < 24, "{}", kept.len());
    assert_eq!(share.matches("_cinetomoProbability ").count(), 1);
}

#[test]
fn classes_of_lists_are_labels() {
    let lab = Lab::new().with_data();
    write_star(&lab);
    let json = lab
        .cinetomo(
            "finetune --random --views 1 --preset probe --augment none -i Extract/job008/particles.star --classes a b c --contrast dark \
             -o m.safetensors --json",
        )
        .json();
    assert_eq!(json["n_per_class"], serde_json::json!([8, 8, 8]));
    lab.cinetomo(
        "finetune --random -i Extract/job008/particles.star --classes a b -o n.safetensors",
    )
    .fails(1, "is of class 3, but there are 2 classes");
    lab.cinetomo("classify -m m.safetensors -i test.mrc -o c.csv").ok();
    // The truth of a list, by number; paths differ, so names of files count.
    lab.write(
        "truth.star",
        lab.read("Extract/job008/particles.star").replace("Extract/boxes.mrc", "test.mrc"),
    );
    let json = lab.cinetomo("evaluate --scores c.csv --labels truth.star --json").json();
    assert_eq!(json["n"], 24);
}

#[test]
fn dynamo_tables_keep_what_they_had() {
    let lab = Lab::new().with_data();
    lab.split_boxes();
    for index in 1..=24 {
        let (from, to) =
            (format!("boxes/box_{index}.mrc"), format!("boxes/particle_{index:06}.mrc"));
        fs::rename(lab.at(&from), lab.at(&to)).unwrap();
    }
    let mut text = String::new();
    // In the opposite order of the files.
    for index in (1..=24).rev() {
        let mut row: Vec<String> = (0..35).map(|column| format!("{column}.50")).collect();
        (row[0], row[19], row[21]) = (index.to_string(), "7".to_owned(), "0".to_owned());
        text += &(row.join(" ") + "\n");
    }
    lab.write("table.tbl", &text);
    lab.cinetomo("classify -m tuned.safetensors -i table.tbl --data boxes --voxel-size 10 --contrast dark -o out.tbl out.csv")
        .ok();
    lab.cinetomo("classify -m tuned.safetensors -i test.mrc --contrast dark -o stack.csv").ok();
    let results = Results::read(&lab.at("stack.csv")).unwrap();
    let after = lab.read("out.tbl");
    assert_eq!(after.lines().count(), 24);
    for (row, (old, new)) in text.lines().zip(after.lines()).enumerate() {
        let mut expected: Vec<&str> = old.split(' ').collect();
        let class = (results.classes[23 - row].unwrap() + 1).to_string();
        expected[21] = &class;
        assert_eq!(new, expected.join(" "));
    }
    lab.cinetomo("classify -m tuned.safetensors -i table.tbl --data boxes -o out.star")
        .fails(2, "a .star is written from");
}
