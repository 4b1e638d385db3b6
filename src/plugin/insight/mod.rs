//! What a network has learnt, made visible: where in a box the evidence for a class lies, and how embeddings lie to each
//! other.

mod class_activation;
mod points;
mod separation;
mod tsne;

pub use class_activation::{CamMethod, Explanation, class_activation, enlarge};
pub use points::{Points, n_points};
pub use separation::{Separation, separation};
pub use tsne::{TsneConfig, tsne};
