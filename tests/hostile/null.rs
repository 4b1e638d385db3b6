//! Every pointer of every function, NULL.

use std::{collections::BTreeSet, fs, ptr};

use cinetomo_abi::*;
use cinetomo_tests::root;

use crate::fixture::*;

const SCORES: [f32; 2] = [0.5; 2];

pub const NULL_CASES: &[Case] = &[
    ("runtime_info_get", NULL, &["out_info"], |f, e| {
        raw!((f.api.runtime_info_get)(ptr::null_mut(), e))
    }),
    ("context_new", NULL, &["out_context"], |f, e| {
        raw!((f.api.context_new)(ptr::null(), ptr::null_mut(), e))
    }),
    ("cancel_new", NULL, &["out_cancel"], |f, e| raw!((f.api.cancel_new)(ptr::null_mut(), e))),
    ("model_from_video", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_from_video)(
            f.context,
            c"x".as_ptr(),
            &f.model_options(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("model_from_video", NULL, &["context"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_from_video)(
            ptr::null(),
            c"x".as_ptr(),
            &f.model_options(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_from_video", NULL, &["checkpoint_path"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_from_video)(
            f.context,
            ptr::null(),
            &f.model_options(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_from_video", NULL, &["options"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_from_video)(
            f.context,
            c"x".as_ptr(),
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_random", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_random)(f.context, &f.model_options(), ptr::null_mut(), e))
    }),
    ("model_random", NULL, &["context"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_random)(ptr::null(), &f.model_options(), &mut out, e))
    }),
    ("model_random", NULL, &["options"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_random)(f.context, ptr::null(), &mut out, e))
    }),
    ("model_fine_tune", NULL, &["model"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_fine_tune)(
            ptr::null(),
            &f.volume(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_fine_tune", NULL, &["subtomograms"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_fine_tune)(
            f.model,
            ptr::null(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_fine_tune", NULL, &["labels"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_fine_tune)(
            f.model,
            &f.volume(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_fine_tune", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_fine_tune)(
            f.model,
            &f.volume(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("model_fine_tune", NULL, &["options.milestones"], |f, e| {
        f.fine_tune(&cinetomo_fine_tune_options { n_milestones: 3, ..f.fine_tune_options() }, e)
    }),
    ("model_classify", NULL, &["model"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_classify)(
            ptr::null(),
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_classify", NULL, &["subtomograms"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_classify)(
            f.model,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_classify", NULL, &["out_len"], |f, e| {
        raw!((f.api.model_classify)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("model_classify", NULL, &["out_probabilities"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_classify)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            18,
            &mut len,
            e
        ))
    }),
    ("model_classify", NULL, &["subtomograms", "data"], |f, e| {
        f.classify(&cinetomo_volume { data: ptr::null(), ..f.volume() }, e)
    }),
    ("model_embed", NULL, &["model"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_embed)(
            ptr::null(),
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_embed", NULL, &["subtomograms"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_embed)(
            f.model,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_embed", NULL, &["out_embeddings"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_embed)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null_mut(),
            9,
            &mut len,
            e
        ))
    }),
    ("model_save", NULL, &["model"], |f, e| {
        raw!((f.api.model_save)(ptr::null(), c"x".as_ptr(), e))
    }),
    ("model_save", NULL, &["path"], |f, e| raw!((f.api.model_save)(f.model, ptr::null(), e))),
    ("model_load", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_load)(f.context, c"x".as_ptr(), ptr::null_mut(), e))
    }),
    ("model_load", NULL, &["context"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_load)(ptr::null(), c"x".as_ptr(), &mut out, e))
    }),
    ("model_load", NULL, &["path"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_load)(f.context, ptr::null(), &mut out, e))
    }),
    ("model_info_get", NULL, &["model"], |f, e| {
        let mut info = initialised(f.api.model_info_init);
        raw!((f.api.model_info_get)(ptr::null(), &mut info, e))
    }),
    ("model_info_get", NULL, &["out_info"], |f, e| {
        raw!((f.api.model_info_get)(f.model, ptr::null_mut(), e))
    }),
    ("memory_estimate", NULL, &["model"], |f, e| {
        let mut bytes = 0;
        let train = cinetomo_stage::Train as i32;
        raw!((f.api.memory_estimate)(ptr::null(), 16, 16, 16, 1, train, &mut bytes, e))
    }),
    ("memory_estimate", NULL, &["out_bytes"], |f, e| {
        let train = cinetomo_stage::Train as i32;
        raw!((f.api.memory_estimate)(f.model, 16, 16, 16, 1, train, ptr::null_mut(), e))
    }),
    ("evaluate", NULL, &["out_metrics"], |f, e| {
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["probabilities"], |f, e| {
        let mut metrics = initialised(f.api.metrics_init);
        raw!((f.api.evaluate)(
            ptr::null(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["labels"], |f, e| {
        let mut metrics = initialised(f.api.metrics_init);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["out_confusion"], |f, e| {
        let (mut metrics, mut len) = (initialised(f.api.metrics_init), 0);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            4,
            &mut len,
            e
        ))
    }),
    ("evaluate", NULL, &["out_len"], |f, e| {
        let (mut metrics, mut confusion) = (initialised(f.api.metrics_init), [0; 4]);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            confusion.as_mut_ptr(),
            4,
            ptr::null_mut(),
            e
        ))
    }),
    ("weights_inspect", NULL, &["path"], |f, e| {
        let mut len = 0;
        raw!((f.api.weights_inspect)(ptr::null(), ptr::null_mut(), 0, &mut len, e))
    }),
    ("weights_inspect", NULL, &["out_json"], |f, e| {
        let mut len = 0;
        raw!((f.api.weights_inspect)(c"x".as_ptr(), ptr::null_mut(), 9, &mut len, e))
    }),
    ("weights_inspect", NULL, &["out_len"], |f, e| {
        raw!((f.api.weights_inspect)(c"x".as_ptr(), ptr::null_mut(), 0, ptr::null_mut(), e))
    }),
    ("evaluate_classes", NULL, &["out_classes"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_classes)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            2,
            &mut len,
            e
        ))
    }),
    ("evaluate_classes", NULL, &["out_len"], |f, e| {
        raw!((f.api.evaluate_classes)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate_classes", NULL, &["probabilities"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_classes)(
            ptr::null(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("evaluate_roc", NULL, &["out_points"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_roc)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            0,
            ptr::null_mut(),
            9,
            &mut len,
            e
        ))
    }),
    ("evaluate_roc", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_roc)(
            SCORES.as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            0,
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("evaluate_reliability", NULL, &["out_bins"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_reliability)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            15,
            ptr::null_mut(),
            15,
            &mut len,
            e
        ))
    }),
    ("evaluate_reliability", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_reliability)(
            SCORES.as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            15,
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("split", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.api.split)(
            ptr::null(),
            ptr::null(),
            6,
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("split", NULL, &["out_parts"], |f, e| {
        let mut len = 0;
        raw!((f.api.split)(
            f.labels.as_ptr(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null_mut(),
            N,
            &mut len,
            e
        ))
    }),
    ("split", NULL, &["out_len"], |f, e| {
        raw!((f.api.split)(
            f.labels.as_ptr(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("model_calibrate", NULL, &["model"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_calibrate)(
            ptr::null(),
            &f.volume(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_calibrate", NULL, &["subtomograms"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_calibrate)(
            f.model,
            ptr::null(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_calibrate", NULL, &["labels"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.api.model_calibrate)(
            f.model,
            &f.volume(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("model_calibrate", NULL, &["out_model"], |f, e| {
        raw!((f.api.model_calibrate)(
            f.model,
            &f.volume(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("model_confidence_get", NULL, &["model"], |f, e| {
        let mut confidence = initialised(f.api.confidence_init);
        raw!((f.api.model_confidence_get)(ptr::null(), &mut confidence, e))
    }),
    ("model_confidence_get", NULL, &["out_confidence"], |f, e| {
        raw!((f.api.model_confidence_get)(f.model, ptr::null_mut(), e))
    }),
    ("model_predict", NULL, &["model"], |f, e| {
        let out = initialised(f.api.predictions_init);
        raw!((f.api.model_predict)(ptr::null(), &f.volume(), 0, ptr::null(), &out, e))
    }),
    ("model_predict", NULL, &["subtomograms"], |f, e| {
        let out = initialised(f.api.predictions_init);
        raw!((f.api.model_predict)(f.model, ptr::null(), 0, ptr::null(), &out, e))
    }),
    ("model_predict", NULL, &["out_predictions"], |f, e| {
        raw!((f.api.model_predict)(f.model, &f.volume(), 0, ptr::null(), ptr::null(), e))
    }),
    ("model_grad_cam", NULL, &["model"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_grad_cam)(
            ptr::null(),
            &f.volume(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_grad_cam", NULL, &["subtomograms"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_grad_cam)(
            f.model,
            ptr::null(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("model_grad_cam", NULL, &["out_maps"], |f, e| {
        let mut len = 0;
        raw!((f.api.model_grad_cam)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            1,
            &mut len,
            e
        ))
    }),
    ("model_grad_cam", NULL, &["out_len"], |f, e| {
        let mut value = 0.0;
        raw!((f.api.model_grad_cam)(
            f.model,
            &f.volume(),
            ptr::null(),
            ptr::null(),
            &mut value,
            1,
            ptr::null_mut(),
            e
        ))
    }),
    ("project2d tsne", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.project2d().tsne)(
            ptr::null(),
            f.voxels.as_ptr(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("project2d tsne", NULL, &["embeddings"], |f, e| {
        let mut len = 0;
        raw!((f.project2d().tsne)(
            f.context,
            ptr::null(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("project2d tsne", NULL, &["out_positions"], |f, e| {
        let mut len = 0;
        raw!((f.project2d().tsne)(
            f.context,
            f.voxels.as_ptr(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            8,
            &mut len,
            e
        ))
    }),
    ("project2d tsne", NULL, &["out_len"], |f, e| {
        raw!((f.project2d().tsne)(
            f.context,
            f.voxels.as_ptr(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("project2d separation", NULL, &["context"], |f, e| {
        let mut out = initialised(f.project2d().separation_init);
        raw!((f.project2d().separation)(
            ptr::null(),
            f.voxels.as_ptr(),
            N,
            1,
            f.labels.as_ptr(),
            N,
            1,
            &mut out,
            e
        ))
    }),
    ("project2d separation", NULL, &["embeddings"], |f, e| {
        let mut out = initialised(f.project2d().separation_init);
        raw!((f.project2d().separation)(
            f.context,
            ptr::null(),
            N,
            1,
            f.labels.as_ptr(),
            N,
            1,
            &mut out,
            e
        ))
    }),
    ("project2d separation", NULL, &["labels"], |f, e| {
        let mut out = initialised(f.project2d().separation_init);
        raw!((f.project2d().separation)(
            f.context,
            f.voxels.as_ptr(),
            N,
            1,
            ptr::null(),
            N,
            1,
            &mut out,
            e
        ))
    }),
    ("project2d separation", NULL, &["out_separation"], |f, e| {
        raw!((f.project2d().separation)(
            f.context,
            f.voxels.as_ptr(),
            N,
            1,
            f.labels.as_ptr(),
            N,
            1,
            ptr::null_mut(),
            e
        ))
    }),
    ("synthetic phantom_density", NULL, &["out_len"], |f, e| {
        raw!((f.synthetic().phantom_density)(0, 16, 10.0, ptr::null_mut(), 0, ptr::null_mut(), e))
    }),
    ("synthetic simulate", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate)(
            ptr::null(),
            ptr::null(),
            [0].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("synthetic simulate", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate)(
            f.context,
            ptr::null(),
            ptr::null(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("synthetic simulate_particles", NULL, &["out_particles"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate_particles)(
            f.context,
            ptr::null(),
            [0].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            1,
            e
        ))
    }),
    ("synthetic simulate_tomogram", NULL, &["shape"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate_tomogram)(
            f.context,
            ptr::null(),
            [0].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("synthetic simulate_tomogram", NULL, &["out_len"], |f, e| {
        raw!((f.synthetic().simulate_tomogram)(
            f.context,
            ptr::null(),
            [0].as_ptr(),
            1,
            [32i64; 3].as_ptr(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick pick", NULL, &["context"], |f, e| {
        let mut n = 0;
        raw!((f.picker().pick)(
            ptr::null(),
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            &mut n,
            e
        ))
    }),
    ("pick pick", NULL, &["tomogram"], |f, e| {
        let mut n = 0;
        raw!((f.picker().pick)(
            f.context,
            ptr::null(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            &mut n,
            e
        ))
    }),
    ("pick pick", NULL, &["tomogram.voxels and tomogram.read"], |f, e| {
        f.pick(
            &cinetomo_tomogram { read: None, ..f.tomogram() },
            &initialised(f.picker().pick_options_init),
            e,
        )
    }),
    ("pick pick", NULL, &["tomogram.voxels", "data"], |f, e| {
        let voxels =
            cinetomo_volume { data: ptr::null(), shape: [1, EDGE, EDGE, EDGE], ..f.volume() };
        let tomogram =
            cinetomo_tomogram { voxels: &voxels, ..initialised(f.picker().tomogram_init) };
        f.pick(&tomogram, &initialised(f.picker().pick_options_init), e)
    }),
    ("pick pick", NULL, &["out_n"], |f, e| {
        raw!((f.picker().pick)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("pick pick", NULL, &["out_scores"], |f, e| {
        let (mut positions, mut n) = ([0.0; 3000], 0);
        raw!((f.picker().pick)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            positions.as_mut_ptr(),
            ptr::null_mut(),
            1000,
            &mut n,
            e
        ))
    }),
    ("pick pick", NULL, &["out_positions"], |f, e| {
        let (mut scores, mut n) = ([0.0; 1000], 0);
        raw!((f.picker().pick)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            scores.as_mut_ptr(),
            1000,
            &mut n,
            e
        ))
    }),
    ("pick extract", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.picker().extract)(
            ptr::null(),
            &f.tomogram(),
            [8.0; 3].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick extract", NULL, &["positions"], |f, e| {
        let mut len = 0;
        raw!((f.picker().extract)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick extract", NULL, &["out_len"], |f, e| {
        raw!((f.picker().extract)(
            f.context,
            &f.tomogram(),
            [8.0; 3].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick extract", NULL, &["out_indices"], |f, e| {
        let mut len = 0;
        raw!((f.picker().extract)(
            f.context,
            &f.tomogram(),
            [8.0; 3].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            1,
            e
        ))
    }),
];

#[test]
fn null_is_named_everywhere() {
    let fixture = Fixture::new();
    check(&fixture, NULL_CASES);
    // Every function of the flat contract that stores an error has a case.
    let covered: BTreeSet<String> =
        NULL_CASES.iter().map(|(function, ..)| format!("cinetomo_{function}")).collect();
    let header = fs::read_to_string(root().join("include/cinetomo.h")).expect("the header");
    for declaration in header.split(";\n").filter(|text| text.contains("\nint32_t cinetomo_")) {
        let signature = declaration.rsplit("\nint32_t ").next().expect("a declaration");
        let name = signature.split('(').next().expect("a name");
        if signature.contains("out_error") {
            assert!(covered.contains(name), "{name} has no NULL case");
        }
    }
    // And of the extensions' tables, whose entries are pointers in the header.
    for extension in ["synthetic", "pick"] {
        let table = header
            .split(&format!("typedef struct cinetomo_{extension}_api {{"))
            .nth(1)
            .and_then(|rest| rest.split("\n} ").next())
            .expect("the table");
        for entry in table.split("int32_t (*").skip(1) {
            let (name, rest) = entry.split_once(')').expect("a name");
            let signature = rest.split(';').next().expect("a signature");
            let case = format!("cinetomo_{extension} {name}");
            let has_case = signature.contains("out_error").then(|| covered.contains(&case));
            assert!(has_case.unwrap_or(true), "{case} has no NULL case");
        }
    }
}
