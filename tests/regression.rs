//! What once went wrong, one test each.

use cinetomo_host::Plugin;
use cinetomo_tests::library;

/// A square of counts of so many classes has no place in any memory, and the process was ended where none was needed.
#[test]
fn one_row_of_very_many_classes_is_evaluated() {
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin");
    let (n_classes, label) = (200_000, 7);
    let mut scores = vec![0.0; n_classes];
    scores[label] = 1.0;
    let classes = plugin.evaluate_classes(&scores, &[label as i32], n_classes).expect("classes");
    assert_eq!(classes.len(), n_classes);
    let found = |class: usize| (classes[class].n_examples, classes[class].n_predicted);
    assert_eq!((found(label), found(0)), ((1, 1), (0, 0)));
    assert_eq!((classes[label].precision, classes[label].recall), (1.0, 1.0));
    assert!(classes[0].recall.is_nan() && classes[label].auc.is_nan());
}
