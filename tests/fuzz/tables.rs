//! Dynamo tables, and CSV files of labels and of results.
#![no_main]

use std::path::Path;

use cinetomo_formats::{
    csv::{Labels, Results},
    dynamo::{CLASS, Column, DynamoTable},
    particle_list::{Folders, ParticleFile},
};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    if let Ok(labels) = Labels::parse(file, Path::new("labels.csv")) {
        let n_lines = cinetomo_fuzz::lines(file).len();
        assert!(labels.rows.iter().all(|row| (1..=n_lines).contains(&row.line)), "{labels:?}");
    }
    if let Ok(results) = Results::parse(file, Path::new("results.csv")) {
        assert_eq!(results.probabilities.dim(), (results.images.len(), results.class_names.len()));
        assert!(results.classes.iter().flatten().all(|&class| class < results.class_names.len()));
    }
    let Ok(table) = DynamoTable::parse(file.to_vec(), Path::new("nowhere/list.tbl")) else {
        return;
    };
    assert_eq!(table.edited(None, |_| true), file);
    edit(&table);
    let _ = ParticleFile::from_dynamo(table, Folders::default());
});

/// New classes change column 22 and nothing else.
fn edit(table: &DynamoTable) {
    let edited = table.edited(Some(&|row| row as u32), |_| true);
    let again = DynamoTable::parse(edited, Path::new("edited")).expect("a table");
    assert_eq!((again.n_rows(), again.n_columns()), (table.n_rows(), table.n_columns()));
    for row in 0..table.n_rows() {
        for number in 1..=table.n_columns() {
            let column = Column { number, name: "any" };
            if number == CLASS.number {
                assert_eq!(again.integer(row, CLASS).expect("a class"), Some(row as i64));
            } else {
                assert_eq!(again.value(row, column), table.value(row, column));
            }
        }
    }
}
