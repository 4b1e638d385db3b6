use super::*;
use crate::pick::PickOptions;

fn peak(voxel: [i32; 3], score: f32) -> Peak {
    Peak { voxel, offset: [0.25, 0.0, -0.5], score }
}

fn picking(options: PickOptions) -> Picking {
    Picking::new(PickOptions { sigma: 4.0, ..options }, 0.0).unwrap()
}

fn scores(peaks: &[Peak]) -> Vec<f32> {
    peaks.iter().map(|peak| peak.score).collect()
}

#[test]
fn of_near_peaks_the_best_stays() {
    let peaks = vec![
        peak([10, 10, 10], 5.0),
        peak([10, 10, 13], 9.0),
        peak([10, 10, 17], 8.0),
        peak([10, 13, 16], 7.0),
        peak([0, 0, 0], 1.0),
    ];
    let options = PickOptions { threshold: 0.0, ..PickOptions::default() };
    let taken = select(peaks.clone(), &picking(options.clone())).unwrap();
    // 17 is exactly the smallest distance from 13; (13, 16) is nearer than that to both.
    assert_eq!(scores(&taken), [9.0, 8.0, 1.0]);
    assert_eq!(taken[0].position(), [10.25, 10.0, 12.5]);
    let taken = select(peaks, &picking(PickOptions { n_max: 2, ..options })).unwrap();
    assert_eq!(scores(&taken), [9.0, 8.0]);
    assert!(select(Vec::new(), &picking(PickOptions::default())).unwrap().is_empty());
}

#[test]
fn thresholds_are_what_they_say() {
    let far = |index: i32, score: f32| peak([100 * index, 0, 0], score);
    let peaks: Vec<Peak> =
        [0.0, 1.0, 2.0, 3.0, 4.0, 100.0].iter().zip(0..).map(|(&s, i)| far(i, s)).collect();
    let with = |threshold_rule, threshold| {
        let options = PickOptions { threshold_rule, threshold, ..PickOptions::default() };
        scores(&select(peaks.clone(), &picking(options)).unwrap())
    };
    assert_eq!(with(ThresholdRule::Score, 3.0), [100.0, 4.0, 3.0]);
    // 0 + t 100 / 20.
    assert_eq!(with(ThresholdRule::PeakRange, 0.6), [100.0, 4.0, 3.0]);
    assert_eq!(with(ThresholdRule::PeakRange, 0.61), [100.0, 4.0]);
    // Median 2.5, deviations 2.5, 1.5, 0.5, 0.5, 1.5, 97.5 with the median 1.5: 2.5 + 0.6 x 2.22 = 3.83.
    assert_eq!(with(ThresholdRule::Deviations, 0.6), [100.0, 4.0]);
    assert_eq!(with(ThresholdRule::Deviations, 0.2), [100.0, 4.0, 3.0]);
}

#[test]
fn equal_scores_are_taken_in_the_order_of_their_places() {
    let peaks = vec![peak([3, 0, 0], 1.0), peak([0, 0, 3], 1.0), peak([0, 3, 0], 1.0)];
    let options = PickOptions { min_distance: 4.0, threshold: 0.0, ..PickOptions::default() };
    let taken = select(peaks, &picking(options)).unwrap();
    assert_eq!(
        taken.iter().map(|peak| peak.voxel).collect::<Vec<_>>(),
        [[0, 0, 3], [0, 3, 0], [3, 0, 0]]
    );
}

#[test]
fn medians_are_medians() {
    assert_eq!(median(&mut [3.0]), 3.0);
    assert_eq!(median(&mut [5.0, 1.0]), 3.0);
    assert_eq!(median(&mut [9.0, 1.0, 4.0]), 4.0);
}
