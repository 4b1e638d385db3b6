//! STAR files and the particle lists in them: what an edit does not own survives it.
#![no_main]

use std::path::Path;

use cinetomo_formats::{
    particle_list::{Folders, ParticleFile},
    star::{Star, Table},
};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let Ok(star) = Star::parse(file.to_vec(), Path::new("nowhere/list.star")) else { return };
    assert_eq!(star.bytes(), file);
    for table in star.tables().take(4) {
        assert_eq!(table.edit().to_bytes().expect("no change"), file);
        if table.labels().len() > 0 {
            append(&star, table);
            leave_out(&star, table);
        }
    }
    if let Ok(list) = ParticleFile::from_star(star, Folders::default()) {
        let list = list.list();
        for particle in &list.particles {
            assert!(particle.tomogram.is_none_or(|index| index < list.tomograms.len()));
            assert!(particle.voxel_size.is_finite() && particle.voxel_size >= 0.0);
            assert!(
                particle.position.is_none_or(|position| position.iter().all(|x| x.is_finite()))
            );
        }
    }
});

/// A column that the table does not have adds a line, and a value to each row.
fn append(star: &Star, table: Table<'_>) {
    const LABEL: &str = "cinetomoNew";
    if table.column(LABEL).is_some() {
        return;
    }
    let value = "it's \"new\" ";
    let edited = table.edit().set(LABEL, |_| value).expect("a label").to_bytes().expect("a value");
    let mut is_row = vec![false; cinetomo_fuzz::lines(star.bytes()).len()];
    if table.is_loop() {
        // The line of each row, from 1 on.
        table.rows().for_each(|row| is_row[row.get(0).line_number() - 1] = true);
    }
    let mut after = cinetomo_fuzz::lines(&edited).into_iter();
    let is_new = |line: &[u8]| {
        line.strip_prefix(b"_").is_some_and(|label| label.starts_with(LABEL.as_bytes()))
    };
    let mut n_inserted = 0;
    for (before, is_row) in cinetomo_fuzz::lines(star.bytes()).into_iter().zip(is_row) {
        let mut line = after.next().expect("all lines");
        if is_new(line) && !is_new(before) && n_inserted == 0 {
            n_inserted += 1;
            line = after.next().expect("all lines");
        }
        let grown = if is_row { value.len() + 3 } else { 0 };
        assert_eq!(line.len(), before.len() + grown);
        let n_same = line.iter().zip(before).take_while(|(a, b)| a == b).count();
        assert_eq!(line[n_same.min(before.len()) + grown..], before[n_same..]);
    }
    n_inserted += after.count();
    assert_eq!(n_inserted, 1);
    let again = Star::parse(edited, Path::new("edited")).expect("a STAR file");
    assert_eq!(again.tables().len(), star.tables().len());
    for (before, after) in star.tables().zip(again.tables()) {
        assert_eq!(before.n_rows(), after.n_rows());
        for (old, new) in before.rows().zip(after.rows()) {
            for column in 0..before.labels().len() {
                assert_eq!(old.get(column).bytes(), new.get(column).bytes());
            }
            if after.labels().len() > before.labels().len() {
                assert_eq!(new.get(before.labels().len()).bytes(), value.as_bytes());
            }
        }
    }
}

/// Rows that are not kept are gone with their lines, and nothing else is.
fn leave_out(star: &Star, table: Table<'_>) {
    let edited = table.edit().keep(|row| row % 2 == 0).to_bytes().expect("no values");
    let mut expected = Vec::new();
    let mut left_out =
        table.rows().skip(1).step_by(2).map(|row| row.get(0).line_number()).peekable();
    for (line, number) in star.bytes().split_inclusive(|&byte| byte == b'\n').zip(1..) {
        if table.is_loop() && left_out.peek() == Some(&number) {
            left_out.next();
        } else {
            expected.extend_from_slice(line);
        }
    }
    assert_eq!(edited, expected);
}
