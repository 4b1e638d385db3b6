//! `cinetomo_model_options` and `cinetomo_preprocess`.

use std::ptr;

use cinetomo_abi::{cinetomo_model_options, cinetomo_preprocess};

use super::{
    guard::boundary,
    read::{self, sized_struct},
    train::PRESETS,
    write,
};
use crate::{
    error::{Error, Result},
    model::ModelConfig,
    preprocess::{GreyScale, Interpolation, Normalization, Preprocess},
    train::{Preset, presets},
    volume::Contrast,
};

sized_struct!(cinetomo_preprocess, 64, to_c(Preset::Default));

/// What C sees of a preset.
fn to_c(preset: Preset) -> cinetomo_preprocess {
    let preprocess = presets::preprocess(preset);
    cinetomo_preprocess {
        struct_size: size_of::<cinetomo_preprocess>(),
        input_size: preprocess.input_size,
        percentile_low: preprocess.percentile[0],
        percentile_high: preprocess.percentile[1],
        normalization: preprocess.normalization as i32,
        interpolation: preprocess.interpolation as i32,
        contrast: preprocess.contrast as i32,
        n_views: preprocess.n_views,
        fixed_mean: preprocess.fixed.mean,
        fixed_deviation: preprocess.fixed.deviation,
    }
}

sized_struct!(
    cinetomo_model_options,
    56,
    cinetomo_model_options {
        struct_size: size_of::<cinetomo_model_options>(),
        backbone: ptr::null(),
        class_names: ptr::null(),
        n_classes: 0,
        preprocess: ptr::null(),
        seed: 0,
        dropout: 0.0,
    }
);

/// Fills `out_preprocess` with the defaults. `struct_size` is `sizeof *out_preprocess`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_preprocess_init(
    out_preprocess: *mut cinetomo_preprocess,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_preprocess, struct_size)) }
}

/// Fills `out_preprocess` with what goes with `preset`, a `CINETOMO_PRESET_*`: for the PAPER presets what its code did (each
/// subtomogram between 0 and 1, sections resized to 128 x 128 by cubic convolution, one view), for others the defaults.
/// `struct_size` is `sizeof *out_preprocess`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_preprocess_preset(
    out_preprocess: *mut cinetomo_preprocess,
    struct_size: usize,
    preset: i32,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(ptr::null_mut(), || {
            let preset = read::choice(preset, &PRESETS, "preset")?;
            write::init_with(out_preprocess, struct_size, to_c(preset))
        })
    }
}

/// Fills `out_options` with the defaults. `struct_size` is `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_options_init(
    out_options: *mut cinetomo_model_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// # Safety
/// `options` is NULL or valid, with valid pointers in it.
pub(super) unsafe fn model_config(options: *const cinetomo_model_options) -> Result<ModelConfig> {
    // SAFETY: passed on from the caller.
    unsafe {
        let options = read::sized(options, "options")?;
        let backbone = match options.backbone.is_null() {
            true => None,
            false => Some(read::text(options.backbone, "options.backbone")?.to_owned()),
        };
        // Checked before names are made up, so that a huge count does not fill the memory.
        if !(2..=MOST_CLASSES).contains(&options.n_classes) {
            return Err(Error::invalid(format!(
                "options.n_classes is {}; it must be 2 to {MOST_CLASSES}",
                options.n_classes
            )));
        }
        let class_names = match options.class_names.is_null() {
            true => (0..options.n_classes).map(|index| format!("class_{index}")).collect(),
            false => read::slice(options.class_names, options.n_classes, "options.class_names")?
                .iter()
                .enumerate()
                .map(|(index, &name)| {
                    read::text(name, &format!("options.class_names[{index}]")).map(str::to_owned)
                })
                .collect::<Result<_>>()?,
        };
        Ok(ModelConfig {
            backbone,
            class_names,
            preprocess: preprocess(&read::sized_or_default(options.preprocess, "preprocess")?)?,
            seed: options.seed,
            dropout: options.dropout,
        })
    }
}

/// More classes than any atlas of macromolecules distinguishes.
const MOST_CLASSES: usize = 10_000;

fn preprocess(options: &cinetomo_preprocess) -> Result<Preprocess> {
    let preprocess = Preprocess {
        normalization: read::choice(
            options.normalization,
            &[
                Normalization::MinMax,
                Normalization::ZScore,
                Normalization::Percentile,
                Normalization::Unit,
                Normalization::Fixed,
            ]
            .map(|n| (n as i32, n)),
            "preprocess.normalization",
        )?,
        interpolation: read::choice(
            options.interpolation,
            &[Interpolation::Bicubic, Interpolation::Linear, Interpolation::Nearest]
                .map(|i| (i as i32, i)),
            "preprocess.interpolation",
        )?,
        input_size: options.input_size,
        percentile: [options.percentile_low, options.percentile_high],
        contrast: read::choice(
            options.contrast,
            &[Contrast::Unknown, Contrast::Dark, Contrast::Bright].map(|c| (c as i32, c)),
            "preprocess.contrast",
        )?,
        n_views: options.n_views,
        fixed: GreyScale { mean: options.fixed_mean, deviation: options.fixed_deviation },
    };
    preprocess.validate()?;
    Ok(preprocess)
}
