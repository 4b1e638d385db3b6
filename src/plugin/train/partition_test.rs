use super::*;

const PAPER: Fractions = Fractions { training: 0.6, validation: 0.2, test: 0.2 };

/// Labels in turn, with every seventh missing.
fn labels(n: usize, n_classes: i32) -> Vec<i32> {
    (0..n as i32).map(|i| if i % 7 == 6 { -1 } else { i % n_classes }).collect()
}

fn of_part(parts: &[Part], part: Part) -> Vec<usize> {
    (0..parts.len()).filter(|&index| parts[index] == part).collect()
}

/// How many of each class are in that part.
fn counts(labels: &[i32], parts: &[Part], part: Part) -> Vec<usize> {
    let n_classes = labels.iter().max().expect("labels") + 1;
    let count = |class| {
        let of_class = (0..labels.len()).filter(|&i| labels[i] == class && parts[i] == part);
        of_class.count()
    };
    (0..n_classes).map(count).collect()
}

#[test]
fn each_class_gives_its_shares_and_nobody_is_left_out() {
    // 20, 7, 2 and 1 of a class.
    let labels: Vec<i32> = [vec![0; 20], vec![1; 7], vec![2; 2], vec![3; 1], vec![-1; 4]].concat();
    let parts = partition(&labels, None, &PAPER, 5).expect("valid");
    // 0.2 and 0.4 of 7 are 1.4 and 2.8; of 2 they are 0.4 and 0.8; the last of a class stays for training.
    assert_eq!(counts(&labels, &parts, Part::Test), [4, 1, 0, 0]);
    assert_eq!(counts(&labels, &parts, Part::Validation), [4, 2, 1, 0]);
    assert_eq!(counts(&labels, &parts, Part::Training), [12, 4, 1, 1]);
    assert_eq!(of_part(&parts, Part::None), [30, 31, 32, 33]);
}

#[test]
fn more_labels_change_neither_test_nor_validation() {
    let labels = labels(300, 4);
    let groups: Vec<i32> = (0..300).map(|index| index / 20).collect();
    for groups in [None, Some(&groups[..])] {
        let of = |training| {
            partition(&labels, groups, &Fractions { training, ..PAPER }, 3).expect("valid")
        };
        let sets: Vec<Vec<Part>> = [0.0, 0.05, 0.1, 0.25, 0.6].map(of).to_vec();
        for pair in sets.windows(2) {
            for part in [Part::Test, Part::Validation] {
                assert_eq!(of_part(&pair[0], part), of_part(&pair[1], part), "{groups:?}");
            }
            let (small, large) =
                (of_part(&pair[0], Part::Training), of_part(&pair[1], Part::Training));
            assert!(small.len() < large.len());
            assert!(small.iter().all(|index| large.contains(index)), "{groups:?}");
        }
        // Another validation set does not touch the test.
        let other = Fractions { validation: 0.1, ..PAPER };
        let other = partition(&labels, groups, &other, 3).expect("valid");
        assert_eq!(of_part(&other, Part::Test), of_part(&sets[0], Part::Test));
    }
    // 5 % of 65 or 64 of a class.
    let few = Fractions { training: 0.05, validation: 0.0, test: 0.2 };
    let parts = partition(&labels, None, &few, 3).expect("valid");
    assert_eq!(counts(&labels, &parts, Part::Training), [3, 3, 3, 3]);
}

#[test]
fn a_tomogram_is_in_one_part() {
    let labels = labels(600, 3);
    let groups: Vec<i32> = (0..600).map(|index| 1000 - 7 * (index / 25)).collect();
    for seed in 0..20 {
        let parts = partition(&labels, Some(&groups), &PAPER, seed).expect("valid");
        let mut of_group: BTreeMap<i32, Part> = BTreeMap::new();
        for (index, &part) in parts.iter().enumerate().filter(|(_, part)| **part != Part::None) {
            assert_eq!(*of_group.entry(groups[index]).or_insert(part), part, "seed {seed}");
        }
        // 24 tomograms of 21 or 22 labels each: within one tomogram of the fraction.
        for part in [Part::Test, Part::Validation] {
            let n = of_part(&parts, part).len() as f64;
            let n_labelled = labels.iter().filter(|label| **label >= 0).count() as f64;
            assert!((n / n_labelled - 0.2).abs() < 1.0 / 24.0, "seed {seed}: {n} of {n_labelled}");
        }
        let n_left = (0..600).filter(|&i| labels[i] >= 0 && parts[i] == Part::None).count();
        assert!(n_left <= 3 * 25, "seed {seed}: {n_left} are in no part");
    }
}

#[test]
fn a_class_of_one_tomogram_stays_for_training() {
    // Class 1 lives in tomogram 0 only.
    let labels = [1, 1, 0, 0, 0, 0, 0, 0];
    let groups = [0, 0, 0, 1, 1, 2, 2, 2];
    let halves = Fractions { training: 0.5, validation: 0.0, test: 0.5 };
    for seed in 0..10 {
        let parts = partition(&labels, Some(&groups), &halves, seed).expect("valid");
        assert_eq!(counts(&labels, &parts, Part::Test)[1], 0, "seed {seed}");
        assert_eq!(counts(&labels, &parts, Part::Training)[1], 1, "seed {seed}");
        assert!(counts(&labels, &parts, Part::Test)[0] >= 2, "seed {seed}");
    }
    // Two tomograms are each more than a tenth; the smaller misses it by less.
    let labels = [0, 1, 0, 1, 0, 1];
    let tenth = Fractions { training: 0.9, validation: 0.0, test: 0.1 };
    let parts = partition(&labels, Some(&[5, 5, 9, 9, 9, 9]), &tenth, 0).expect("valid");
    assert_eq!(of_part(&parts, Part::Test), [0, 1]);
}

#[test]
fn the_seed_decides() {
    let labels = labels(200, 5);
    let groups: Vec<i32> = (0..200).map(|index| index / 10).collect();
    for groups in [None, Some(&groups[..])] {
        let of = |seed| partition(&labels, groups, &PAPER, seed).expect("valid");
        assert_eq!(of(1), of(1));
        assert_ne!(of_part(&of(1), Part::Test), of_part(&of(2), Part::Test));
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let message = |labels: &[i32], groups: Option<&[i32]>, fractions: Fractions| {
        partition(labels, groups, &fractions, 0).expect_err("must be refused").to_string()
    };
    let text = message(&[0, -2], None, PAPER);
    assert!(text.starts_with("label 1 is -2;"), "{text}");
    let text = message(&[0, 1], Some(&[1]), PAPER);
    assert!(text.starts_with("1 groups for 2 labels"), "{text}");
    let text = message(&[0, 1], None, Fractions { validation: -0.1, ..PAPER });
    assert!(text.starts_with("validation_fraction is -0.1;"), "{text}");
    let text = message(&[0, 1], None, Fractions { test: f64::NAN, ..PAPER });
    assert!(text.starts_with("test_fraction is NaN;"), "{text}");
    let text = message(&[0, 1], None, Fractions { training: 0.61, ..PAPER });
    assert!(text.contains("add up to more than 1"), "{text}");
    let text = message(&[0, 1, 0, 1], Some(&[3; 4]), PAPER);
    assert!(text.starts_with("no tomogram is left for the test part"), "{text}");
    let text = message(&[0, 1, 0, 1], Some(&[3, 3, 4, 4]), PAPER);
    assert!(text.starts_with("no tomogram is left for the validation part"), "{text}");
    // Nothing to divide is divided.
    assert_eq!(partition(&[], None, &PAPER, 0).expect("valid"), []);
    for groups in [None, Some(&[3, 4][..])] {
        let parts = partition(&[-1, -1], groups, &PAPER, 0).expect("valid");
        assert_eq!(parts, [Part::None; 2]);
    }
}
