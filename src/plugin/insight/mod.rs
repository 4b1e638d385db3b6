//! What a network has learnt, made visible: where in a box the evidence for a class lies, and how embeddings lie to each
//! other.

mod class_activation;

pub use class_activation::{CamMethod, Explanation, class_activation, enlarge};
