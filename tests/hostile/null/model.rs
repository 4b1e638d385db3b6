//! Models: making, training, asking.

use std::ptr;

use cinetomo_abi::*;

use crate::fixture::*;

pub const CASES: &[Case] = &[
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
];
