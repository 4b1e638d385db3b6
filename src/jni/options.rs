//! Options by name: Java sets the fields of the C structs by the names that they have in `cinetomo.h`.

use cinetomo_host::{
    FineTuneOptions, GradCamOptions, ModelOptions, Plugin,
    abi::{
        cinetomo_calibration_options, cinetomo_cam_method, cinetomo_extract_options,
        cinetomo_pick_options, cinetomo_preset, cinetomo_split_options, cinetomo_status,
        cinetomo_synthetic_options,
    },
};

use crate::failure::Failure;

/// A field's name and what Java wants it to be.
pub(crate) type Setting = (String, f64);

/// Sets the named field, which has the number type of the function after the colon.
macro_rules! set {
    ($options:ident, $setting:expr; $($field:ident: $number:ident),*) => {{
        let (name, value) = $setting;
        match name.as_str() {
            $(stringify!($field) => $options.$field = $number(name, *value)?,)*
            _ => return Err(unknown(name, &[$(stringify!($field)),*])),
        }
    }};
}

/// The training that a `cinetomo_preset` names, with these fields changed.
pub(crate) fn fine_tune(
    plugin: Plugin,
    preset: i32,
    settings: &[Setting],
) -> Result<FineTuneOptions, Failure> {
    let mut options = plugin.fine_tune_preset(self::preset(preset)?);
    for setting in settings {
        set!(options, setting;
            learning_rate: real, momentum: real, weight_decay: real, gamma: real, validation_fraction: real, seed: natural,
            n_epochs: integer, batch_size: integer, n_frozen_stages: integer, optimizer: integer, schedule: integer,
            batch_norm: integer, head: integer, augment: integer, select_best: integer, regularizer: integer,
            regularizer_strength: real, label_smoothing: real, stage_rate_decay: real, balance: integer,
            micro_batch_size: integer, patience: integer, schedule_interval: integer, checkpoint_interval: integer);
    }
    Ok(options)
}

fn preset(number: i32) -> Result<cinetomo_preset, Failure> {
    use cinetomo_preset::{Default, PaperRandom, PaperVideo, Probe};
    [Default, PaperVideo, PaperRandom, Probe]
        .into_iter()
        .find(|known| *known as i32 == number)
        .ok_or_else(|| invalid(format!("preset is {number}, no CINETOMO_PRESET")))
}

/// A model's options with the preprocessing that a `cinetomo_preset` names; changes fields of both.
pub(crate) fn model(
    plugin: Plugin,
    backbone: Option<String>,
    class_names: Vec<String>,
    preset: i32,
    settings: &[Setting],
) -> Result<ModelOptions, Failure> {
    let mut options = ModelOptions { backbone, ..ModelOptions::new(class_names) };
    let mut preprocess = plugin.preprocess_preset(self::preset(preset)?);
    for setting in settings {
        match setting.0.as_str() {
            "seed" | "dropout" => set!(options, setting; seed: natural, dropout: real),
            "input_size_z" => preprocess.input_size[0] = integer(&setting.0, setting.1)?.into(),
            "input_size_y" => preprocess.input_size[1] = integer(&setting.0, setting.1)?.into(),
            "input_size_x" => preprocess.input_size[2] = integer(&setting.0, setting.1)?.into(),
            _ => set!(preprocess, setting;
                percentile_low: real, percentile_high: real, normalization: integer, interpolation: integer,
                contrast: integer, n_views: integer, fixed_mean: real, fixed_deviation: real),
        }
    }
    options.preprocess = Some(preprocess);
    Ok(options)
}

/// What calibration learns.
pub(crate) fn calibration(
    plugin: Plugin,
    settings: &[Setting],
) -> Result<cinetomo_calibration_options, Failure> {
    let mut options = plugin.calibration_options();
    for setting in settings {
        set!(options, setting; precision: real, coverage: real, temperature: integer, reject: integer);
    }
    Ok(options)
}

/// How labelled subtomograms are divided.
pub(crate) fn split(
    plugin: Plugin,
    settings: &[Setting],
) -> Result<cinetomo_split_options, Failure> {
    let mut options = plugin.split_options();
    for setting in settings {
        set!(options, setting;
            training_fraction: real, validation_fraction: real, test_fraction: real, seed: natural);
    }
    Ok(options)
}

/// What is simulated, with these fields changed.
pub(crate) fn synthetic(
    mut options: cinetomo_synthetic_options,
    settings: &[Setting],
) -> Result<cinetomo_synthetic_options, Failure> {
    for setting in settings {
        set!(options, setting;
            box_size: long, voxel_size: real, snr: real, tilt_range: real, max_shift: real, defocus: real, voltage: real,
            spherical_aberration: real, seed: natural, contrast: integer, envelope: real, band_limit: real, band_edge: real,
            noise_before: real, mtf: real, n_neighbours: integer, tilt_axis: integer, beam_axis: integer);
    }
    Ok(options)
}

/// How particles are picked, with these fields changed.
pub(crate) fn pick(
    mut options: cinetomo_pick_options,
    settings: &[Setting],
) -> Result<cinetomo_pick_options, Failure> {
    for setting in settings {
        set!(options, setting;
            sigma: real, particle_diameter: real, sigma_ratio: real, min_distance: real, threshold: real, n_max: long,
            border: long, max_memory: natural, threshold_rule: integer, refine: integer);
    }
    Ok(options)
}

/// How boxes are cut out, with these fields changed.
pub(crate) fn extract(
    mut options: cinetomo_extract_options,
    settings: &[Setting],
) -> Result<cinetomo_extract_options, Failure> {
    for setting in settings {
        set!(options, setting;
            box_size: long, voxel_size: real, resampling: integer, edge: integer, contrast: integer);
    }
    Ok(options)
}

/// What to explain; a class of -1 is the most probable one, `rectify` of -1 the method's own.
pub(crate) fn grad_cam(
    stage: Option<String>,
    class_index: i32,
    method: i32,
    rectify: i32,
) -> Result<GradCamOptions, Failure> {
    use cinetomo_cam_method::{GradCam, RespondCam};
    let unset = |value: i32| if value == -1 { None } else { Some(value) };
    let class_index = unset(class_index)
        .map(|index| usize::try_from(index).map_err(|_| invalid(format!("class index is {index}"))))
        .transpose()?;
    let method = [GradCam, RespondCam]
        .into_iter()
        .find(|known| *known as i32 == method)
        .ok_or_else(|| invalid(format!("method is {method}, no CINETOMO_CAM_METHOD")))?;
    let rectify = match rectify {
        -1 => None,
        0 | 1 => Some(rectify == 1),
        _ => return Err(invalid(format!("rectify is {rectify}; it must be -1, 0 or 1"))),
    };
    Ok(GradCamOptions { stage, class_index, method, rectify })
}

fn real(_: &str, value: f64) -> Result<f64, Failure> {
    Ok(value)
}

fn integer(name: &str, value: f64) -> Result<i32, Failure> {
    match value as i32 {
        whole if f64::from(whole) == value => Ok(whole),
        _ => Err(invalid(format!("{name} is {value}; it must be a whole number of 32 bits"))),
    }
}

fn long(name: &str, value: f64) -> Result<i64, Failure> {
    match value as i64 {
        whole if whole as f64 == value && whole.unsigned_abs() <= 1 << 53 => Ok(whole),
        _ => Err(invalid(format!("{name} is {value}; it must be a whole number up to 2^53"))),
    }
}

/// A seed; Java hands over doubles, which are exact up to 2^53.
fn natural(name: &str, value: f64) -> Result<u64, Failure> {
    match value as u64 {
        whole if whole as f64 == value && whole <= 1 << 53 => Ok(whole),
        _ => Err(invalid(format!("{name} is {value}; it must be a whole number from 0 to 2^53"))),
    }
}

fn unknown(name: &str, known: &[&str]) -> Failure {
    invalid(format!("there is no option {name:?}; there are {}", known.join(", ")))
}

fn invalid(message: String) -> Failure {
    Failure::new(cinetomo_status::InvalidArgument, message)
}
