use serde_json::Value;

use super::*;

/// What tests/reference/structure.py computed.
fn reference() -> Value {
    serde_json::from_str(include_str!("../../../tests/reference/structure.json")).unwrap()
}

fn text(reference: &Value, name: &str) -> String {
    reference[name].as_str().unwrap().to_owned()
}

fn parse(text: impl AsRef<[u8]>) -> Result<Structure> {
    Structure::parse(text.as_ref(), Path::new("a"))
}

fn error(text: impl AsRef<[u8]>) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn both_formats_of_gemmi_give_its_atoms() {
    let reference = reference();
    for format in ["pdb", "cif"] {
        let structure = parse(text(&reference, format)).unwrap();
        let expected = reference["atoms"].as_array().unwrap();
        assert_eq!(structure.atoms.len(), expected.len(), "{format}");
        for (atom, expected) in structure.atoms.iter().zip(expected) {
            let position: Vec<f64> =
                expected["zyx"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(atom.position.as_slice(), position, "{format}");
            assert_eq!(atom.element.symbol(), expected["symbol"], "{format}");
            assert_eq!(atom.occupancy, expected["occupancy"].as_f64().unwrap(), "{format}");
        }
        // gemmi ends a file with its last row.
        let end =
            "the file ends with its atoms and no # or empty line after them: it may be cut short";
        let end = if format == "cif" { &[end][..] } else { &[] };
        assert_eq!(
            structure.notes,
            [
                "1 atoms of water are left out",
                "2 atoms are at alternate places, each weighted by its occupancy",
                "1 further models are left out: the first is used"
            ]
            .into_iter()
            .chain(end.iter().copied())
            .collect::<Vec<_>>(),
            "{format}"
        );
    }
}

#[test]
fn scattering_factors_are_those_of_the_international_tables() {
    let factors = &reference()["factors"];
    for (index, pair) in factors.as_array().unwrap().iter().enumerate() {
        let element = Element::from_symbol(pair[0].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(element.atomic_number() as usize, index + 1);
        assert_eq!(element.scattering_factor(), pair[1].as_f64().unwrap(), "{}", element.symbol());
    }
}

#[test]
fn density_is_the_sum_of_gaussians() {
    let reference = reference();
    let structure = parse(text(&reference, "pdb")).unwrap();
    for case in reference["densities"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let box_size = number("box_size") as usize;
        let options = DensityOptions {
            box_size: Some(box_size),
            voxel_size: number("voxel_size"),
            resolution: number("resolution"),
        };
        let density = density(&structure, &options).unwrap();
        assert_eq!(
            (density.values.dim(), density.voxel_size),
            ((box_size, box_size, box_size), options.voxel_size)
        );
        let expected = case["values"].as_array().unwrap();
        let highest = expected.iter().map(|v| v.as_f64().unwrap()).fold(0.0, f64::max);
        for (ours, theirs) in density.values.iter().zip(expected) {
            let difference = f64::from(*ours) - theirs.as_f64().unwrap();
            // What is cut off beyond `REACH` is 4e-6 of each atom; the reference has five digits.
            assert!(difference.abs() < 5e-5 * highest, "{difference} of {highest}");
        }
    }
}

#[test]
fn the_box_holds_the_structure_in_the_middle() {
    let structure = parse(text(&reference(), "cif")).unwrap();
    let options =
        |box_size, voxel_size, resolution| DensityOptions { box_size, voxel_size, resolution };
    let smallest = density(&structure, &options(None, 4.0, 10.0)).unwrap().values;
    let n = smallest.dim().0;
    assert_eq!(n % 2, 0);
    // All of its scattering is there, and its centre on the middle voxel.
    let sum: f64 = smallest.iter().map(|&value| f64::from(value)).sum();
    let scattering: f64 =
        structure.atoms.iter().map(|atom| atom.occupancy * atom.element.scattering_factor()).sum();
    assert!((sum * 64.0 / (47.8776 * scattering) - 1.0).abs() < 2e-3, "{sum}");
    let moment = |axis: usize| -> f64 {
        let at = |index: (usize, usize, usize)| {
            [index.0, index.1, index.2][axis] as f64 - (n / 2) as f64
        };
        smallest.indexed_iter().map(|(index, &value)| at(index) * f64::from(value)).sum::<f64>()
            / sum
    };
    assert!((0..3).all(|axis| moment(axis).abs() < 0.02), "{:?}", [0, 1, 2].map(moment));

    let refused = |options| density(&structure, &options).unwrap_err();
    let message = refused(options(Some(8), 4.0, 10.0)).to_string();
    let needed = message.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(message.contains("does not fit into 8 voxels of 4 angstrom"), "{message}");
    assert!(
        needed > 8 && needed <= n && density(&structure, &options(Some(needed), 4.0, 10.0)).is_ok()
    );
    for (odd, expected) in [
        (options(None, 0.0, 10.0), "a voxel size of 0 angstrom"),
        (options(None, f64::NAN, 10.0), "a voxel size of NaN"),
        (options(None, 10.0, 19.9), "expected at least two voxels"),
        (options(None, 10.0, f64::INFINITY), "a resolution of inf"),
        (options(None, 1e-9, 10.0), "expected 1 to 512"),
        (options(Some(0), 10.0, 20.0), "a box of 0 voxels"),
        (options(Some(usize::MAX), 10.0, 20.0), "expected 1 to 512"),
    ] {
        let error = refused(odd);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
    }
    let empty = Structure {
        atoms: vec![Atom { occupancy: 0.0, ..structure.atoms[0] }],
        ..structure.clone()
    };
    let message = density(&empty, &options(None, 4.0, 10.0)).unwrap_err().to_string();
    assert!(message.ends_with("all occupancies are 0"));
}

/// A line of a PDB file up to its occupancy.
fn atom(record: &str, name: &str, residue: &str) -> String {
    format!("{record:<6}    1 {name:<4} {residue:>3} A   1       1.000   2.000   3.000  1.00")
}

#[test]
fn old_files_name_elements_by_their_atoms() {
    let cases = [
        ("ATOM", " CA ", "ALA", "C"),
        ("ATOM", "CA  ", "ALA", "C"),
        ("HETATM", "CA  ", " CA", "CA"),
        ("ATOM", "CA  ", " CA", "CA"),
        ("HETATM", "FE  ", "HEM", "FE"),
        ("HETATM", " C1 ", "NAG", "C"),
        ("HETATM", "HO2A", "LIG", "H"),
        ("ATOM", "HG11", "VAL", "H"),
        ("ATOM", "1HB ", "ALA", "H"),
        ("ATOM", "SE  ", "MSE", "SE"),
        ("ATOM", " OP1", " DA", "O"),
    ];
    for (record, name, residue, symbol) in cases {
        let structure = parse(atom(record, name, residue) + "\nEND\n").unwrap();
        assert_eq!(structure.atoms[0].element.symbol(), symbol, "{record} {name} {residue}");
        assert_eq!(structure.notes, ["1 atoms state no element: it was taken from their names"]);
    }
    let message = error(atom("ATOM", " Q  ", "ALA"));
    assert_eq!(message, "a: line 1: \"Q\" is no element");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let line = atom("ATOM", " CA ", "ALA");
    let cif = "data_x\nloop_\n_atom_site.type_symbol\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n_atom_site.occupancy\n";
    let cases = [
        (String::new(), "no atoms: this is neither a PDB nor an mmCIF file"),
        ("hello\n".to_owned(), "no atoms"),
        ("\u{1f}\u{8b}".to_owned(), "no atoms"),
        (atom("HETATM", " O  ", "HOH"), "no atoms but water"),
        (
            format!("TITLE\n{}", &line[..50]),
            "line 2: an atom in 50 columns; its position ends in column 54",
        ),
        (line.replace("2.000", "2.0x0"), "line 1: y is \"2.0x0\", no coordinate"),
        (line.replace("  2.000", "    nan"), "line 1: y is \"nan\""),
        (line.replace("  1.00", "  1.50"), "the occupancy is \"1.50\"; expected 0 to 1"),
        (format!("{line}{:>18}", "Q"), "line 1: \"Q\" is no element"),
        (format!("{cif}C 1 2 3 1\nC 1 2\n"), "line 9: a row of 3 values; the loop has 5 columns"),
        (format!("{cif}C 1 2e7 3 1\n"), "line 8: Cartn_y is \"2e7\", no coordinate"),
        (format!("{cif}C 1 ? 3 1\n"), "line 8: Cartn_y is \"?\", no coordinate"),
        (format!("{cif}Q 1 2 3 1\n"), "line 8: \"Q\" is no element"),
        (format!("{cif}C 1 2 3 -1\n"), "line 8: the occupancy is \"-1\""),
        (format!("{cif}C 1 2 3 'x\n"), "line 8: a quote without an end"),
        (format!("{cif}C 1 2 3\n;x\n"), "line 9: a text that begins with ; has no end"),
        (cif.replace("Cartn_z", "z") + "C 1 2 3 1\n", "line 8: _atom_site lacks Cartn_x"),
        ("data_x\n_atom_site.Cartn_x 1\n".to_owned(), "no atoms"),
    ];
    for (text, expected) in cases {
        let message = error(&text);
        assert!(message.starts_with("a: ") && message.contains(expected), "{text}: {message}");
    }
    assert!(error(b"\x1f\x8b\x08").contains("compressed with gzip"));
}

#[test]
fn mmcif_may_be_laid_out_in_any_way() {
    let text = "\u{feff}# entry\nDATA_x\n_struct.title\n;ATOM of a\nloop_\n; # rest\nLOOP_\n_ATOM_SITE.cartn_x _atom_site.Cartn_y\n\
                _atom_site.Cartn_z # z\n_atom_site.type_symbol\n_atom_site.label_comp_id\n1 2\n3 \"C\"\n;\nLIG\n;\n4 5 6 n HOH 7 8\n9 'O' .\n#\n\
                loop_\n_pdbx_struct_oper_list.id\n1\n2\ndata_other\n";
    let structure = parse(text).unwrap();
    let found: Vec<_> =
        structure.atoms.iter().map(|atom| (atom.position, atom.element.symbol())).collect();
    assert_eq!(found, [([3.0, 2.0, 1.0], "C"), ([9.0, 8.0, 7.0], "O")]);
    assert_eq!(structure.notes[0], "1 atoms of water are left out");
    assert!(structure.notes[1].contains("biological assembly"), "{:?}", structure.notes);
    assert_eq!(structure.notes.len(), 2);
}

#[test]
fn ends_of_lines_and_marks_before_them_change_nothing() {
    let line = atom("ATOM", " CA ", "ALA");
    let pdb = format!("{line}\n{}\nEND\n", line.replace("2.000", "3.000"));
    let reference = reference();
    for text in [pdb, text(&reference, "pdb"), text(&reference, "cif")] {
        let plain = parse(&text).unwrap();
        let odd = parse(format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
        assert_eq!((odd.atoms, odd.notes), (plain.atoms, plain.notes));
    }
}

#[test]
fn a_line_of_ten_megabytes_is_a_line() {
    let line = atom("ATOM", " CA ", "ALA");
    let long = "x".repeat(10 << 20);
    let pdb = parse(format!("REMARK {long}\n{line}{long}\nEND\n")).unwrap_err().to_string();
    assert!(pdb.contains("line 2: \"xx\" is no element"), "{pdb}");
    let head = "data_x\nloop_\n_atom_site.type_symbol\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n";
    let n = 1 << 20;
    let one_line = parse(format!("{head}{}\n#\n", "C 1 2 3 ".repeat(n))).unwrap();
    assert_eq!(one_line.atoms.len(), n);
    let cif = error(format!("{head}{long} 1 2 3\n"));
    assert!(cif.contains("line 7: ") && cif.len() < 200, "{cif}");
}

#[test]
fn a_described_assembly_is_noted() {
    let line = atom("ATOM", " CA ", "ALA");
    let remark = |copy| {
        format!("REMARK 350   BIOMT1   {copy}  1.000000  0.000000  0.000000        0.00000\n")
    };
    let notes = |text: String| parse(text).unwrap().notes.join("\n");
    let one = format!("{}{line}\nEND\n", remark(1).repeat(2));
    assert!(!notes(one).contains("assembly"));
    let two = format!("{}{}{line}\nEND\n", remark(1), remark(2));
    assert!(notes(two).contains("biological assembly of several copies, which are not made"));
}

#[test]
fn every_part_of_a_good_file_is_an_error_or_says_so() {
    let reference = reference();
    for format in ["pdb", "cif"] {
        let whole = text(&reference, format);
        let n_notes = parse(&whole).unwrap().notes.len();
        let end = whole.trim_end().len();
        for end in 0..end {
            let Ok(part) = parse(&whole[..end]) else { continue };
            let says = part.notes.iter().any(|note| note.contains("cut short"));
            assert!(says, "{format}, {end} bytes: {:?}, {n_notes}", part.notes);
        }
    }
}

#[test]
fn damage_never_panics() {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let reference = reference();
    let options = DensityOptions { box_size: None, voxel_size: 10.0, resolution: 20.0 };
    let signs = b"\n\r\t '\"#_;-+.e9\xff\xc3\0A ";
    for format in ["pdb", "cif"] {
        let whole = text(&reference, format).into_bytes();
        for _ in 0..3_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..8) {
                let at = rng.random_range(0..bytes.len());
                if rng.random_bool(0.2) {
                    bytes.remove(at);
                } else {
                    bytes[at] = signs[rng.random_range(0..signs.len())];
                }
            }
            if let Ok(structure) = parse(&bytes) {
                let _ = density(&structure, &options);
            }
        }
    }
}
