//! Checkpoints of networks as users have them: described without being read, then read tensor by tensor straight into
//! f32. No libtorch, and no code in a file is ever run.
//!
//! Containers are told apart by content: PyTorch's zip and the format before PyTorch 1.6, safetensors, flax pickles, npz,
//! and the first and third in several parts with an index. Every size in a file is compared with the file's own before
//! memory is asked for.
#![forbid(unsafe_code)]

mod archive;
#[cfg(test)]
mod archive_test;
mod checkpoint;
#[cfg(test)]
mod checkpoint_test;
mod container;
#[cfg(test)]
mod container_test;
mod dtype;
mod error;
mod flax;
#[cfg(test)]
mod flax_test;
mod hash;
#[cfg(test)]
mod instructions;
mod json;
mod npz;
mod numpy;
mod pickle;
mod read;
mod safetensors;
#[cfg(test)]
mod safetensors_test;
mod shards;
mod source;
mod tensor;
mod torch;
#[cfg(test)]
mod torch_test;
#[cfg(test)]
mod written;

pub use self::{
    checkpoint::Checkpoint,
    container::Container,
    dtype::Dtype,
    error::{Error, ErrorKind, Result},
    source::Source,
    tensor::TensorInfo,
};
