//! What a model's metadata say of its trainings.

use serde_json::Value;

/// Its trainings, the first first.
pub fn trainings(metadata: &Value) -> &[Value] {
    metadata["history"].as_array().map_or(&[], Vec::as_slice)
}

/// Epochs of the last training that had any.
pub fn epochs(metadata: &Value) -> &[Value] {
    let mut epochs = trainings(metadata).iter().rev().filter_map(|one| one["epochs"].as_array());
    epochs.next().map_or(&[], Vec::as_slice)
}
