//! Insight: where in the box the evidence for a class lies.

use std::ffi::c_char;

/// How the channels of a stage's map are weighed into a map of evidence.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_cam_method {
    /// By the mean gradient of the class's logit (Selvaraju et al. 2017); made for any network.
    GradCam = 0,
    /// So that the map adds up to what the logit responds by (Zhao et al. 2018); made for subtomograms and for stages
    /// whose values are never negative: all of the networks with convolutions, none of those with attention.
    RespondCam = 1,
}

/// What `cinetomo_model_grad_cam` explains, and how. Fill with `cinetomo_grad_cam_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_grad_cam_options {
    /// `sizeof(cinetomo_grad_cam_options)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// Name of the stage whose map is weighed, one of `stage_names` in `cinetomo_model_info`; NULL (default) = "layer3" of
    /// the ResNets, the paper's, and a comparable one of other networks.
    pub stage: *const c_char,
    /// The class, counted from 0; -1 (default) = for each subtomogram the one that `cinetomo_model_classify` finds most
    /// probable.
    pub class_index: i32,
    /// A `CINETOMO_CAM_METHOD_*`. Default: GRAD_CAM.
    pub method: i32,
    /// 1 = evidence against the class is cut off at 0; 0 = it stays, as negative numbers; -1 (default) = as published: 1
    /// for GRAD_CAM, 0 for RESPOND_CAM.
    pub rectify: i32,
    /// Zero.
    pub reserved: i32,
}
