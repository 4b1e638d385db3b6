use tch::Device;

use super::*;
use crate::insight::separation::tests::{N_FEATURES, digits, reference};

/// How many neighbours of the map are neighbours of the points: Venna & Kaski 2001, "Neighborhood preservation in nonlinear
/// projection methods", equation 1.
fn trustworthiness(points: &Points, map: &[f32], k: usize) -> f64 {
    let n = points.len();
    let ranked = points.nearest(n - 1).unwrap();
    let mapped = Points::new(map, 2, Device::Cpu).unwrap().nearest(k).unwrap();
    let rank = |point: usize, other: i64| {
        1 + ranked[point].indices.iter().position(|index| *index == other).unwrap()
    };
    let excess = mapped.iter().enumerate().flat_map(|(point, neighbours)| {
        neighbours.indices.iter().map(move |other| (point, *other))
    });
    let excess: usize = excess.map(|(point, other)| rank(point, other).saturating_sub(k)).sum();
    1.0 - excess as f64 * 2.0 / (n * k * (2 * n - 3 * k - 1)) as f64
}

fn map(points: &Points, config: &TsneConfig) -> Vec<f32> {
    tsne(points, config, &mut Monitor::silent()).unwrap()
}

#[test]
fn neighbours_stay_together_as_in_scikit_learns_map() {
    let reference = reference();
    let points = Points::new(&digits(&reference), N_FEATURES, Device::Cpu).unwrap();
    let rows = reference["map"].as_array().unwrap().iter();
    let theirs: Vec<f32> = rows
        .flat_map(|row| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32))
        .collect();
    let expected = reference["trustworthiness"].as_f64().unwrap();
    let found = trustworthiness(&points, &theirs, 10);
    // Equal distances between digits have no order of their own.
    assert!((found - expected).abs() < 1e-4, "{found}, {expected}");

    let ours = map(&points, &TsneConfig { perplexity: Some(30.0), ..TsneConfig::default() });
    assert_eq!(ours.len(), 2 * 240);
    let found = trustworthiness(&points, &ours, 10);
    println!("trustworthiness {found}, scikit-learn's {expected}");
    assert!(found > expected - 0.005);
    // A shuffled map keeps nothing: the measure can fail.
    let shuffled: Vec<f32> = (0..480).map(|i| ours[(i * 7) % 480]).collect();
    assert!(trustworthiness(&points, &shuffled, 10) < 0.7);
}

#[test]
fn a_seed_fixes_the_map() {
    let reference = reference();
    let points = Points::new(&digits(&reference)[..64 * 60], N_FEATURES, Device::Cpu).unwrap();
    let of_seed = |seed: u64| {
        let positions = map(&points, &TsneConfig { seed, ..TsneConfig::default() });
        positions.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
    };
    let first = of_seed(1);
    assert_eq!(first, of_seed(1));
    assert_ne!(first, of_seed(2));
}

#[test]
fn few_equal_and_flat_points_have_maps() {
    let line: Vec<f32> = (0..40).map(|i| i as f32).collect();
    for (values, n_features) in [
        // The fewest points; all equal; on a line; with more features than points; far apart.
        (vec![0.0, 1.0, 2.0, 4.0], 1),
        (vec![3.0; 60], 2),
        (line.clone(), 1),
        (line.iter().map(|value| value * value).collect(), 10),
        (line.iter().map(|value| value * 1e30).collect(), 4),
    ] {
        let points = Points::new(&values, n_features, Device::Cpu).unwrap();
        let positions = map(&points, &TsneConfig { n_iterations: 300, ..TsneConfig::default() });
        assert_eq!(positions.len(), 2 * points.len());
        assert!(positions.iter().all(|position| position.is_finite()));
    }
}

#[test]
fn the_perplexity_suits_the_number_of_points() {
    let config = |perplexity| TsneConfig { perplexity, ..TsneConfig::default() };
    assert_eq!(config(None).perplexity_for(1000).unwrap(), 30.0);
    assert_eq!(config(None).perplexity_for(31).unwrap(), 10.0);
    assert_eq!(config(Some(10.0)).perplexity_for(31).unwrap(), 10.0);
    for (perplexity, n, word) in [
        (Some(30.0), 50, "1 to 16.3"),
        (Some(0.5), 50, "0.5"),
        (Some(f64::NAN), 50, "NaN"),
        (None, 3, "at least 4"),
        (None, 0, "at least 4"),
    ] {
        let error = config(perplexity).perplexity_for(n).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    for n_iterations in [0, 249, usize::MAX] {
        assert!(TsneConfig { n_iterations, ..TsneConfig::default() }.perplexity_for(50).is_err());
    }
}

#[test]
fn progress_is_reported_on_the_callers_thread_and_stops_the_work() {
    let values: Vec<f32> = (0..200).map(|i| ((i * i) % 31) as f32).collect();
    let points = Points::new(&values, 4, Device::Cpu).unwrap();
    let here = std::thread::current().id();
    let mut steps = Vec::new();
    let stop_at = |last: usize, steps: &mut Vec<usize>| {
        let mut monitor = Monitor::new(
            |progress| {
                assert_eq!(std::thread::current().id(), here);
                assert_eq!((progress.stage, progress.n_steps), (Stage::Project, 255));
                steps.push(progress.step);
                progress.step < last
            },
            || false,
            crate::monitor::log_nothing(),
        );
        let config = TsneConfig { n_iterations: 255, ..TsneConfig::default() };
        tsne(&points, &config, &mut monitor)
    };
    assert_eq!(stop_at(40, &mut steps).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(steps, [10, 20, 30, 40]);
    steps.clear();
    stop_at(1000, &mut steps).unwrap();
    assert_eq!((steps.len(), steps.last()), (26, Some(&255)));
}

#[test]
#[should_panic(expected = "a defect")]
fn a_panic_of_the_other_thread_comes_out() {
    let _ = beside::<()>(|_| panic!("a defect"), |_| Ok(()));
}
