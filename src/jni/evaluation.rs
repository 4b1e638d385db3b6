//! What labels say: evaluation, splits, calibration. Tables come to Java as numbers, row by row.

#![expect(clippy::too_many_arguments, reason = "they are those of the Java methods")]

use cinetomo_host::{Context, abi::cinetomo_threshold};
use jni::{
    Env,
    objects::{JClass, JDoubleArray, JFloatArray, JIntArray, JObject},
};

use crate::{
    arguments::{count, floats, integers, settings, volume},
    failure::Failure,
    handles::{CONTEXTS, InUse, MODELS},
    listeners,
    methods::{Texts, java_doubles},
    options,
};

/// `cinetomo_metrics` in its order, then the confusion matrix.
pub(crate) fn evaluate<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    scores: JFloatArray<'local>,
    labels: JIntArray<'local>,
    n_classes: i32,
) -> Result<JDoubleArray<'local>, Failure> {
    let (context, scores, labels) = scored(env, context, &scores, &labels)?;
    let found = context.plugin().evaluate(&scores, &labels, count(n_classes, "n_classes")?)?;
    let mut numbers = vec![
        found.n_evaluated as f64,
        found.accuracy,
        found.macro_auc,
        found.balanced_accuracy,
        found.macro_f1,
        found.expected_calibration_error,
        found.brier_score,
        found.log_loss,
        found.best_threshold_accuracy,
        found.best_threshold,
    ];
    numbers.extend(found.confusion.iter().map(|&n| n as f64));
    java_doubles(env, &numbers)
}

/// `cinetomo_class_metrics`, class by class.
pub(crate) fn evaluate_classes<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    scores: JFloatArray<'local>,
    labels: JIntArray<'local>,
    n_classes: i32,
) -> Result<JDoubleArray<'local>, Failure> {
    let (context, scores, labels) = scored(env, context, &scores, &labels)?;
    let n_classes = count(n_classes, "n_classes")?;
    let found = context.plugin().evaluate_classes(&scores, &labels, n_classes)?;
    let rows: Vec<f64> = found
        .iter()
        .flat_map(|class| {
            let counts = [class.n_examples as f64, class.n_predicted as f64];
            [counts[0], counts[1], class.precision, class.recall, class.f1, class.auc]
        })
        .collect();
    java_doubles(env, &rows)
}

/// `cinetomo_roc_point`, point by point.
pub(crate) fn evaluate_roc<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    scores: JFloatArray<'local>,
    labels: JIntArray<'local>,
    n_classes: i32,
    class_index: i32,
) -> Result<JDoubleArray<'local>, Failure> {
    let (context, scores, labels) = scored(env, context, &scores, &labels)?;
    let (n_classes, class) = (count(n_classes, "n_classes")?, count(class_index, "class_index")?);
    let found = context.plugin().evaluate_roc(&scores, &labels, n_classes, class)?;
    let rows: Vec<f64> = found
        .iter()
        .flat_map(|point| [point.threshold, point.false_positive_rate, point.true_positive_rate])
        .collect();
    java_doubles(env, &rows)
}

/// `cinetomo_reliability_bin`, bin by bin.
pub(crate) fn evaluate_reliability<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    scores: JFloatArray<'local>,
    labels: JIntArray<'local>,
    n_classes: i32,
    n_bins: i32,
) -> Result<JDoubleArray<'local>, Failure> {
    let (context, scores, labels) = scored(env, context, &scores, &labels)?;
    let (n_classes, n_bins) = (count(n_classes, "n_classes")?, count(n_bins, "n_bins")?);
    let found = context.plugin().evaluate_reliability(&scores, &labels, n_classes, n_bins)?;
    let rows: Vec<f64> = found
        .iter()
        .flat_map(|bin| [bin.low, bin.high, bin.n as f64, bin.confidence, bin.accuracy])
        .collect();
    java_doubles(env, &rows)
}

/// A context, and what it is asked to compare: scores and labels.
type Scored = (InUse<Context>, Vec<f32>, Vec<i32>);

fn scored(
    env: &Env<'_>,
    context: i64,
    scores: &JFloatArray<'_>,
    labels: &JIntArray<'_>,
) -> Result<Scored, Failure> {
    let context = CONTEXTS.get(context)?;
    Ok((context, floats(env, scores, "scores")?, integers(env, labels, "labels")?))
}

pub(crate) fn split<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    labels: JIntArray<'local>,
    groups: JIntArray<'local>,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
) -> Result<JIntArray<'local>, Failure> {
    let (context, labels) = (CONTEXTS.get(context)?, integers(env, &labels, "labels")?);
    let groups = match groups.is_null() {
        true => None,
        false => Some(integers(env, &groups, "groups")?),
    };
    let options = options::split(context.plugin(), &settings(env, &names, &values)?)?;
    let parts = context.plugin().split(&labels, groups.as_deref(), &options)?;
    let array = JIntArray::new(env, parts.len())?;
    array.set_region(env, 0, &parts)?;
    Ok(array)
}

pub(crate) fn model_calibrate<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    subtomograms: JObject<'local>,
    labels: JIntArray<'local>,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    progress: JObject<'local>,
) -> Result<i64, Failure> {
    let (model, volume) = (MODELS.get(model)?, volume(env, &subtomograms)?);
    let labels = integers(env, &labels, "labels")?;
    let settings = settings(env, &names, &values)?;
    let options = options::calibration(model.context().plugin(), &settings)?;
    let calibrated = listeners::with_progress(model.context().plugin(), &progress, |hooks| {
        model.calibrate(&volume, &labels, &options, hooks)
    })?;
    Ok(MODELS.insert(calibrated))
}

/// `cinetomo_confidence` in its order, thresholds written out.
pub(crate) fn model_confidence<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
) -> Result<JDoubleArray<'local>, Failure> {
    let found = MODELS.get(model)?.confidence()?;
    let threshold = |t: &cinetomo_threshold| {
        [t.value, t.n_accepted as f64, t.n_correct as f64, t.precision_low, t.precision_high]
    };
    let numbers = [
        &[
            found.n_calibration as f64,
            found.temperature,
            found.temperature_error,
            found.log_loss_before,
            found.log_loss_after,
        ],
        &threshold(&found.probability)[..],
        &threshold(&found.distance),
        &[found.n_class_means as f64],
    ];
    java_doubles(env, &numbers.concat())
}
