//! What a step does: to which weights, with which statistics, by how much.

use super::*;

/// Three steps of momentum SGD on a linear head over fixed features, in double precision by hand.
#[test]
fn steps_of_a_linear_head_are_those_computed_by_hand() {
    const N: usize = 6;
    const CLASSES: usize = 3;
    let (rate, momentum, decay) = (0.05, 0.8, 0.01);
    let model = model(CLASSES);
    let (voxels, labels) = shells(N, CLASSES);
    let volume = volume(&voxels);
    let config = FineTune {
        optimizer: OptimizerKind::Sgd,
        learning_rate: Some(rate),
        momentum,
        weight_decay: decay,
        schedule: Schedule::Constant,
        n_epochs: 3,
        batch_size: N,
        n_frozen_stages: model.network.stages.len(),
        head: HeadStart::Keep,
        augment: Augment::default(),
        ..FineTune::default()
    };
    let tuned = fine_tune(&model, &volume, &labels, &config, &mut Monitor::silent());
    let tuned = tuned.expect("tuned");

    let features = model.embed(&volume, &mut Monitor::silent()).expect("features");
    let n_features = features.len() / N;
    // One row a class: its weights, then its bias; each row of features ends with 1.
    let mut head: Vec<Vec<f64>> = (0..CLASSES)
        .map(|class| {
            let weight = &values(&model.head.weight)[class * n_features..][..n_features];
            weight.iter().chain([&values(&model.head.bias)[class]]).map(|v| f64::from(*v)).collect()
        })
        .collect();
    let rows: Vec<Vec<f64>> = features
        .chunks_exact(n_features)
        .map(|row| row.iter().chain([&1.0]).map(|value| f64::from(*value)).collect())
        .collect();
    let mut velocity = vec![vec![0.0; n_features + 1]; CLASSES];
    let mut losses = Vec::new();
    for _ in 0..3 {
        let mut gradient = vec![vec![0.0; n_features + 1]; CLASSES];
        let mut loss = 0.0;
        for (row, label) in rows.iter().zip(&labels) {
            let product = |w: &Vec<f64>| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>().exp();
            let exponentials: Vec<f64> = head.iter().map(product).collect();
            let sum: f64 = exponentials.iter().sum();
            for (class, gradient) in gradient.iter_mut().enumerate() {
                let target = if class == *label as usize { 1.0 } else { 0.0 };
                let error = exponentials[class] / sum - target;
                gradient.iter_mut().zip(row).for_each(|(g, x)| *g += error * x / N as f64);
            }
            loss -= (exponentials[*label as usize] / sum).ln() / N as f64;
        }
        losses.push(loss);
        for ((weights, velocity), gradient) in head.iter_mut().zip(&mut velocity).zip(&gradient) {
            for ((w, v), g) in weights.iter_mut().zip(velocity).zip(gradient) {
                *v = momentum * *v + g + decay * *w;
                *w -= rate * *v;
            }
        }
    }
    let expected: Vec<f64> = head.iter().flat_map(|row| row[..n_features].to_vec()).collect();
    let moved: f32 = values(&(&tuned.head.weight - &model.head.weight).abs().max())[0];
    assert!(moved > 1e-3, "the steps must be visible: {moved}");
    for (got, expected) in values(&tuned.head.weight).iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} is not {expected}");
    }
    for (got, row) in values(&tuned.head.bias).iter().zip(&head) {
        assert!((f64::from(*got) - row[n_features]).abs() < 1e-6);
    }
    for (epoch, loss) in tuned.history[0].epochs.iter().zip(losses) {
        assert!((epoch.loss.expect("loss") - loss).abs() < 1e-5, "{epoch:?}: {loss}");
    }
}

#[test]
fn frozen_stages_stay_as_they_are() {
    let model = model(2);
    let n_frozen = 5;
    for batch_norm in [BatchNorm::Trained, BatchNorm::Recalibrated] {
        let config = FineTune { n_frozen_stages: n_frozen, batch_norm, ..short() };
        let tuned = tune(&model, 4, &config).expect("tuned");
        for (before, after) in model.network.parameters.iter().zip(tuned.network.parameters.iter())
        {
            let same = values(&before.tensor) == values(&after.tensor);
            assert_eq!(same, before.stage < n_frozen, "{batch_norm:?} {}", before.name);
        }
    }
}

#[test]
fn batch_norm_does_as_told() {
    let model = model(2);
    let statistics = |model: &Model| -> Vec<Vec<f32>> {
        Trainable::new(model, &FineTune::default()).statistics.iter().map(values).collect()
    };
    let tuned = |batch_norm, n_epochs| {
        tune(&model, 8, &FineTune { batch_norm, n_epochs, ..short() }).expect("tuned")
    };
    let before = statistics(&model);
    assert_eq!(statistics(&tuned(BatchNorm::Frozen, 1)), before);
    // Estimated before the training, then kept.
    let recalibrated = statistics(&tuned(BatchNorm::Recalibrated, 0));
    assert_ne!(recalibrated, before);
    assert_eq!(statistics(&tuned(BatchNorm::Recalibrated, 1)), recalibrated);
    assert_ne!(statistics(&tuned(BatchNorm::Trained, 1)), before);
}

/// Whatever is asked of BatchNorm, a network without any is tuned at its own rates, from video after a probe.
#[test]
fn a_network_without_batch_norm_is_tuned_at_its_own_rates() {
    let mut model = model_of(Some("swin3d_t"), 2);
    let [video, random] = model.network.spec().learning_rates;
    let tuned = |model: &Model, batch_norm| {
        let tuned = tune(model, 4, &FineTune { batch_norm, ..short() }).expect("tuned");
        let config = tuned.history.last().expect("a record").config.clone();
        let rate = config["learning_rate"].as_f64().expect("a number");
        (tuned, rate, config["head"].as_str().expect("a name").to_owned())
    };
    let (first, rate, head) = tuned(&model, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (random, "random"));
    assert_ne!(bits(&first), bits(&model));
    for batch_norm in [BatchNorm::Frozen, BatchNorm::Recalibrated] {
        assert_eq!(bits(&tuned(&model, batch_norm).0), bits(&first));
    }
    let (_, rate, head) = tuned(&first, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (random, "keep"));

    model.origin = Origin::Video { checkpoint: String::new(), sha256: String::new() };
    let (second, rate, head) = tuned(&model, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (video, "probe"));
    let (_, rate, head) = tuned(&second, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (video, "keep"));
    let whole = FineTune { n_epochs: 16, ..short() };
    let suited = whole.suited_to(&model.network, true, &Monitor::silent());
    assert_eq!(suited.head, HeadStart::Probe);
}

/// Statistics of one batch are what that batch is normalised by, up to the n / (n - 1) of the unbiased variance; those
/// of two batches are their mean.
#[test]
fn recalibrated_statistics_are_means_over_the_batches() {
    let (voxels, labels) = shells(8, 2);
    let volume = volume(&voxels);
    let recalibrated = |indices: &[usize]| {
        let model = model(2);
        let mut monitor = Monitor::silent();
        let mut journal = Journal::new(&mut monitor, 1000);
        let passes = Passes { volume: &volume, labels: &labels, batch_size: 4 };
        passes.recalibrate(&model, indices, 0, &mut journal).expect("recalibrated");
        model
    };
    let [first, second] = [[0, 1, 2, 3], [4, 5, 6, 7]];
    let (a, b) = (recalibrated(&first), recalibrated(&second));
    let both = recalibrated(&[first, second].concat());
    let statistics = |model| Trainable::new(model, &FineTune::default()).statistics;
    for ((a, b), both) in statistics(&a).iter().zip(statistics(&b)).zip(statistics(&both)) {
        let difference = ((a + &b) / 2.0 - &both).abs().max().double_value(&[]);
        assert!(difference <= 1e-5 * both.abs().max().double_value(&[]), "{difference}");
        assert!((a - &b).abs().max().double_value(&[]) > 0.0);
    }
    let input = a.prepare(&volume, &first).expect("input");
    // The first stage's batches have 4 * 8 * 8 * 8 values a channel.
    let stage = &a.network.stages[0].forward;
    let pass = |mode| Pass::of(&input, mode).expect("pass");
    let running = stage(&input, pass(BatchNormMode::Running)).expect("running");
    let batch = stage(&input, pass(BatchNormMode::Batch)).expect("batch");
    let difference = (running - &batch).abs().max().double_value(&[]);
    assert!(difference < 1e-3 * batch.abs().max().double_value(&[]), "{difference}");
}

/// Four standard errors for what is counted.
#[test]
fn dropout_silences_features_and_strengthens_the_rest() {
    let mut model = model(2);
    let mut draw = |dropout, seed| {
        model.dropout = dropout;
        Batch::draw_dropout(&model, 8, &mut epoch_generator(seed, Purpose::Dropout, 1)).unwrap()
    };
    assert!(draw(0.0, 0).is_none());
    let factors = draw(0.2, 0).unwrap();
    assert_eq!(factors.size(), [8, 1024]);
    let factors = values(&factors);
    let n = factors.len() as f64;
    let n_silent = factors.iter().filter(|factor| **factor == 0.0).count() as f64;
    assert!((n_silent / n - 0.2).abs() < 4.0 * (0.2 * 0.8 / n).sqrt(), "{n_silent} of {n}");
    assert!(factors.iter().all(|factor| *factor == 0.0 || (factor - 1.25).abs() < 1e-6));
    assert_ne!(values(&draw(0.2, 1).unwrap()), factors);
}

/// Without batch statistics a step does not depend on how it is cut up.
#[test]
fn micro_batches_give_the_gradients_of_the_batch() {
    let model = model(3);
    let config = FineTune {
        batch_norm: BatchNorm::Frozen,
        optimizer: OptimizerKind::Sgd,
        learning_rate: Some(1e-2),
        label_smoothing: 0.1,
        balance: Balance::Weights,
        augment: Augment::of(&[Augmentation::Mirror, Augmentation::Mixup]),
        ..FineTune { batch_size: 5, ..short() }
    };
    let whole = tune(&model, 7, &config).expect("tuned");
    let parts = tune(&model, 7, &FineTune { micro_batch_size: 2, ..config }).expect("tuned");
    for (whole, parts) in whole.network.parameters.iter().zip(parts.network.parameters.iter()) {
        let difference = (&whole.tensor - &parts.tensor).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{}: {difference}", whole.name);
    }
    let moved = (&whole.head.weight - &model.head.weight).abs().max().double_value(&[]);
    assert!(moved > 1e-4, "{moved}");
}

#[test]
fn stages_near_the_input_learn_more_slowly() {
    let model = model(2);
    let config = FineTune { stage_rate_decay: 0.5, n_frozen_stages: 9, ..short() };
    let trainable = Trainable::new(&model, &config);
    // I3D has 12 stages with weights; those of the 10th to the 12th are trained, three layers of two tensors a unit.
    let factors = &trainable.rate_factors;
    assert_eq!(factors.len(), trainable.weights.len());
    assert!(factors.is_sorted());
    assert_eq!((factors[0], factors.last()), (0.125, Some(&1.0)));
    assert_eq!(factors.iter().filter(|factor| **factor == 1.0).count(), 2);
    assert_eq!(trainable.backbone().len(), factors.len() - 2);
}
