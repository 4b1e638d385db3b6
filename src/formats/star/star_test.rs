use std::fs;

use super::*;

/// A file that tests/reference/lists.py wrote.
fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/lists");
    fs::read(Path::new(folder).join(name)).unwrap()
}

fn star(text: impl AsRef<[u8]>) -> Star {
    Star::parse(text.as_ref().to_vec(), Path::new("a.star")).unwrap()
}

fn error(text: impl AsRef<[u8]>) -> String {
    Star::parse(text.as_ref().to_vec(), Path::new("a.star")).unwrap_err().to_string()
}

fn values(table: Table<'_>) -> Vec<Vec<String>> {
    let n_columns = table.labels().len();
    let row =
        |row: Row<'_>| (0..n_columns).map(|c| row.get(c).text().unwrap().to_owned()).collect();
    table.rows().map(row).collect()
}

#[test]
fn every_value_is_what_starfile_reads() {
    let cells: serde_json::Value = serde_json::from_slice(&fixture("cells.json")).unwrap();
    let files = cells.as_object().unwrap();
    assert_eq!(files.len(), 10);
    for (name, blocks) in files {
        let star = star(fixture(name));
        assert_eq!(star.tables().len(), blocks.as_object().unwrap().len(), "{name}");
        for (block, columns) in blocks.as_object().unwrap() {
            let table = star.table(block).unwrap().unwrap();
            let columns = columns.as_object().unwrap();
            assert_eq!(table.labels().len(), columns.len(), "{name}, {block}");
            for (label, expected) in columns {
                let column = table.column(label).unwrap();
                let ours: Vec<&str> =
                    table.rows().map(|row| row.get(column).text().unwrap()).collect();
                let expected: Vec<&str> =
                    expected.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
                assert_eq!(ours, expected, "{name}, {block}, {label}");
            }
        }
    }
}

#[test]
fn nothing_changes_without_changes() {
    for entry in
        fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/lists")).unwrap()
    {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "star") {
            let star = Star::read(&path).unwrap();
            for table in star.tables() {
                assert_eq!(table.edit().to_bytes().unwrap(), star.bytes(), "{table:?} of {path:?}");
                // Setting a column to what it says, too.
                let label = table.labels().last().unwrap();
                let column = table.column(label).unwrap();
                let same = |row| table.row(row).get(column).text().unwrap().to_owned();
                let edit = table.edit().set(label, same).unwrap().keep(|_| true);
                assert_eq!(edit.to_bytes().unwrap(), star.bytes(), "{table:?} of {path:?}");
            }
        }
    }
}

#[test]
fn a_file_may_be_odd() {
    let text = "\u{feff}# first\r\n_ignored" // replaced below: a label before any block is an error
        .replace(
            "_ignored",
            "data_one\r\n_a 'x y' # why\r\n_b\t2\r\nloop_\t# rows\r\n_c #1\r\n_d # note\r\n\r\n",
        )
        + "# between\r\n1 2 \t\r\n\r\n'3 3' \"4\"# no: the quote goes on \"\r\nDATA_\r\nLOOP_\r\n_e\r\n5\r\ndata_two\r\n";
    let star = star(&text);
    assert_eq!(star.notes(), [""; 0]);
    let names: Vec<_> = star.tables().map(|t| (t.name(), t.is_loop(), t.n_rows())).collect();
    assert_eq!(names, [("one", false, 1), ("one", true, 2), ("", true, 1), ("two", false, 0)]);
    let tables: Vec<_> = star.tables().collect();
    assert_eq!(values(tables[0]), [["x y", "2"]]);
    assert_eq!(values(tables[1]), [["1", "2"], ["3 3", "4\"# no: the quote goes on "]]);
    assert_eq!(values(tables[2]), [["5"]]);
    assert_eq!(values(tables[3]), Vec::<Vec<String>>::new());
    assert_eq!(tables[1].line_number(), 5);
    assert_eq!(
        star.table("one").unwrap_err().to_string(),
        "a.star: lines 3 and 5: two tables are named data_one"
    );
    assert!(star.table("three").unwrap().is_none());
    assert_eq!(tables[2].edit().to_bytes().unwrap(), text.as_bytes());
    let changed = tables[1].edit().set("c", |row| row).unwrap().set("new", |_| "n w").unwrap();
    let expected = text
        .replace("_d # note\r\n", "_d # note\r\n_new\r\n")
        .replace("1 2 \t", "0 2 \"n w\" \t")
        .replace(
            "'3 3' \"4\"# no: the quote goes on \"",
            "1 \"4\"# no: the quote goes on \" \"n w\"",
        );
    assert_eq!(String::from_utf8(changed.to_bytes().unwrap()).unwrap(), expected);
    let changed = tables[0].edit().set("a", |_| 7).unwrap().set("z", |_| "").unwrap();
    let expected = text.replace("'x y'", "7").replace("_b\t2\r\n", "_b\t2\r\n_z \"\"\r\n");
    assert_eq!(String::from_utf8(changed.to_bytes().unwrap()).unwrap(), expected);
}

#[test]
fn a_column_is_appended_or_set_and_rows_are_left_out() {
    let text = "data_optics\nloop_\n_o #1\n1\n\ndata_particles\n\nloop_ \n_x #1 \n_rlnClassNumber #2 \n  1.50   1 \n  2.5e0  1 # c\n  3.5   1 \n \n# end\n";
    let star = star(text);
    let table = star.table("particles").unwrap().unwrap();
    let edit = table.edit().set("rlnClassNumber", |row| row + 10).unwrap();
    let edit = edit.set("p", |row| row as f32 / 4.0).unwrap().keep(|row| row != 1);
    let expected = "data_optics\nloop_\n_o #1\n1\n\ndata_particles\n\nloop_ \n_x #1 \n_rlnClassNumber #2 \n_p #3\n  1.50   10 0 \n  3.5   12 0.5 \n \n# end\n";
    assert_eq!(String::from_utf8(edit.to_bytes().unwrap()).unwrap(), expected);
    let none = table.edit().keep(|_| false).to_bytes().unwrap();
    assert_eq!(star.bytes().len() - none.len(), "  1.50   1 \n  2.5e0  1 # c\n  3.5   1 \n".len());

    // Tabs stay tabs, and a last line without an end stays so.
    let tabs =
        super::Star::parse(b"data_\nloop_\n_a\n_b\n1\t2\n3\t4".to_vec(), Path::new("t")).unwrap();
    let edit = tabs.table("").unwrap().unwrap().edit().set("c", |row| row).unwrap();
    assert_eq!(edit.to_bytes().unwrap(), b"data_\nloop_\n_a\n_b\n_c\n1\t2\t0\n3\t4\t1");
    let pairs = super::Star::parse(b"data_\n_a 1".to_vec(), Path::new("t")).unwrap();
    let edit = pairs.table("").unwrap().unwrap().edit().set("b", |_| 2).unwrap();
    assert_eq!(edit.set("c", |_| 3).unwrap().to_bytes().unwrap(), b"data_\n_a 1\n_b 2\n_c 3");
}

#[test]
fn an_edit_that_makes_no_sense_is_refused() {
    let star = star("data_\nloop_\n_a\n1\n2\n");
    let edit = || star.table("").unwrap().unwrap().edit();
    let refused = |edit: Result<Edit<'_>>| edit.unwrap_err().to_string();
    for label in ["", "_a", "a b", "a#", "a\n"] {
        assert!(refused(edit().set(label, |_| 1)).contains("is no label"), "{label:?}");
    }
    assert!(refused(edit().set("a", |_| 1).unwrap().set("a", |_| 2)).ends_with("a is set twice"));
    // A block without labels, which has no line that a label could follow.
    let empty = super::Star::parse(b"data_x\n\n".to_vec(), Path::new("a.star")).unwrap();
    let table = empty.table("x").unwrap().unwrap();
    assert_eq!(
        refused(table.edit().set("a", |_| 1)),
        "a.star: data_x has no columns to set a beside"
    );
    assert_eq!(table.edit().to_bytes().unwrap(), b"data_x\n\n");
    let unwritable = edit().set("b", |row| ["fine", "two\nlines"][row]).unwrap().to_bytes();
    let message = unwritable.unwrap_err().to_string();
    assert!(message.starts_with("a.star: row 1, b: \"two\\nlines\" has line breaks"), "{message}");
}

#[test]
fn text_is_quoted_where_it_must_be() {
    let tell = |value: &str| quoted(value).map(Cow::into_owned);
    for plain in ["a", "0.5", "[1,0]", "it's", "a#b", "x\"", "ünï", "a_b", "Data"] {
        assert_eq!(tell(plain).unwrap(), plain);
    }
    for text in ["", "a b", "a\tb", "#a", "_a", ";", "data_x", "Loop_", "'a", "'a'", "say 'a' now"]
    {
        assert_eq!(tell(text).unwrap(), format!("\"{text}\""));
    }
    assert_eq!(tell("\"a\" b").unwrap(), "'\"a\" b'");
    for impossible in ["a\nb", "\r", "a\0", "'a' \"b\" c"] {
        assert_eq!(tell(impossible), None, "{impossible:?}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let loops = "data_p\nloop_\n_a #1\n_b #2\n1 2\n";
    let cases = [
        ("", "no data_ block"),
        ("# only\n", "no data_ block"),
        ("hello\n", "line 1: \"hello\" before any data_ block; is this a STAR file?"),
        ("_a 1\n", "line 1: a label before any data_ block"),
        ("loop_\n_a\n", "line 1: loop_ before any data_ block"),
        ("data_\n\n1 2\n", "line 3: \"1\" outside of a loop"),
        ("data_\nloop_\n1\n", "line 3: a loop_ without labels"),
        ("data_\nloop_", "a loop_ without labels"),
        ("data_\nloop_\ndata_\n", "line 3: a loop_ without labels"),
        ("data_\nloop_\n_a 1\n", "line 3: \"_a\": a label of a loop must be alone on its line"),
        (
            "data_\n_a\n",
            "line 2: _a outside of a loop's labels: expected a label and its value, got 1",
        ),
        ("data_\n_a 1 2\n", "got 3"),
        ("data_\nloop_\n_a\n_b\n_a\n", "line 5: a is there twice in one table"),
        ("data_\n_a 1\n_a 1\n", "line 3: a is there twice in one table"),
        ("data_\nloop_\n_a\n'x\n", "line 4: byte 1 of the line: a quote without an end"),
        ("data_\n_a\n;text\n", "expected a label and its value"),
        ("data_\nloop_\n_a\n;text\n", "line 4: a text over several lines (;)"),
    ];
    for (text, expected) in cases {
        let message = error(text);
        assert!(
            message.starts_with("a.star: ") && message.contains(expected),
            "{text:?}: {message}"
        );
    }
    assert_eq!(
        error(format!("{loops}3\n")),
        "a.star: line 6: 1 values, but data_p has 2 columns; nothing for b and what follows"
    );
    assert_eq!(
        error(format!("{loops}3 4 5\n")),
        "a.star: line 6: 3 values, but data_p has 2 columns"
    );
    assert!(error(b"data_\0").contains("byte 5: a zero byte"));
    assert!(error(b"data_\xff\n").contains("line 1: the block's name \"\u{fffd}\" is not UTF-8"));
    assert!(error(b"data_\n_\xff 1\n").contains("line 2: the label"));

    let star = star(b"data_p\nloop_\n_a\n_b\n1 x\n1.5 \xff\n");
    let table = star.table("p").unwrap().unwrap();
    let value = |row: usize, column| table.row(row).get(column);
    assert_eq!(value(0, 0).integer().unwrap(), 1);
    assert_eq!(value(1, 0).number().unwrap(), 1.5);
    let messages = [
        value(0, 1).number().unwrap_err(),
        value(1, 0).integer().unwrap_err(),
        value(1, 1).text().unwrap_err(),
    ];
    assert_eq!(
        messages.map(|error| error.to_string()),
        [
            "a.star: line 5, b: \"x\" is not a number",
            "a.star: line 6, a: \"1.5\" is not an integer",
            "a.star: line 6, b: \"\u{fffd}\" is not UTF-8"
        ]
    );
}

#[test]
fn numbers_are_finite_and_integers_whole() {
    for (text, number) in [("1", 1.0), ("-2.50", -2.5), ("1.7e+06", 1.7e6), ("+3", 3.0)] {
        assert_eq!(parse_number(text.as_bytes()), Some(number));
    }
    for text in ["", "nan", "inf", "1e999", "1,5", "0x1", " 1", "1.2.3"] {
        assert_eq!(parse_number(text.as_bytes()), None, "{text:?}");
        assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(parse_integer(b"24.000000"), Some(24));
    assert_eq!(parse_integer(b"9223372036854775807"), Some(i64::MAX));
    assert_eq!(parse_integer(b"1e300"), None);
    assert_eq!(parse_integer(b"24.5"), None);
}

#[test]
fn a_file_that_ends_early_is_an_error_or_says_so() {
    let whole = fixture("relion50.star");
    let whole_rows = star(&whole).tables().map(|table| values(table).len()).sum::<usize>();
    for end in 0..whole.len() {
        let Ok(part) = Star::parse(whole[..end].to_vec(), Path::new("part")) else { continue };
        let last_line = whole[..end].rsplit(|&byte| byte == b'\n').next().unwrap();
        let is_within_line = Cells::new(last_line).next().is_some();
        assert_eq!(!part.notes().is_empty(), is_within_line, "{end} bytes");
        assert!(part.tables().map(|table| values(table).len()).sum::<usize>() <= whole_rows);
        for table in part.tables() {
            assert_eq!(table.edit().to_bytes().unwrap(), &whole[..end]);
        }
    }
    let notes = star("data_\nloop_\n_a #1\n_b #3\n_c #2\n1 2 3");
    assert_eq!(
        notes.notes(),
        [
            "line 4: column 2 (b) is numbered #3; the order counts, not the number",
            "line 6: the file ends within a line; its last value may be cut short"
        ]
    );
}

#[test]
fn size_costs_time_but_nothing_else() {
    let mut text = b"data_particles\nloop_\n_a #1\n_b #2\n".to_vec();
    let header = text.len();
    for row in 0..300_000 {
        text.extend_from_slice(format!(" {row} 0.25 \n").as_bytes());
    }
    let star = star(&text);
    let table = star.table("particles").unwrap().unwrap();
    assert_eq!(table.n_rows(), 300_000);
    assert_eq!(table.row(299_999).get(0).integer().unwrap(), 299_999);
    let edit = table.edit().set("rlnClassNumber", |_| 1).unwrap().keep(|row| row % 3 == 0);
    let bytes = edit.to_bytes().unwrap();
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 100_000 + 5);
    // A line of ten megabytes, in one value and in many.
    let mut long = text[..header].to_vec();
    long.extend_from_slice(&[b'x'; 10 << 20]);
    long.extend_from_slice(b" 1\n");
    assert_eq!(super::Star::parse(long.clone(), Path::new("l")).unwrap().bytes(), long);
    let mut many = text[..header].to_vec();
    many.extend_from_slice(&b"1 ".repeat(5 << 20));
    assert!(error(many).contains("5242880 values, but data_particles has 2 columns"));
}

#[test]
fn damage_never_panics() {
    use rand::{Rng, RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let signs = b"\n\r\t '\"#_;data_loop_ \xff\xef\xbb\xbf\0[@";
    for name in ["relion31.star", "warptools_2d.star", "stopgap.star"] {
        let whole = fixture(name);
        for _ in 0..2_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..bytes.len());
                match rng.next_u32() % 3 {
                    0 => bytes[at] = signs[rng.random_range(0..signs.len())],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, signs[rng.random_range(0..signs.len())]),
                }
            }
            let Ok(star) = Star::parse(bytes.clone(), Path::new("damaged")) else { continue };
            for table in star.tables() {
                for row in table.rows() {
                    for column in 0..table.labels().len() {
                        let _ = (row.get(column).number(), row.get(column).text());
                    }
                }
                let edit = table.edit().set("new", |row| row).unwrap();
                let edited = edit.to_bytes().unwrap();
                let again = Star::parse(edited, Path::new("edited")).unwrap();
                assert_eq!(again.tables().len(), star.tables().len());
            }
        }
    }
}
