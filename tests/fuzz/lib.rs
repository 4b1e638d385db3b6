//! What every fuzzer does with a checkpoint: describe it, then read all of it; and what those of other files share.

pub mod voxels;
#[path = "../../src/checkpoints/written.rs"]
pub mod written;

use std::path::Path;

use cinetomo_checkpoints::{Checkpoint, Error, Source};

/// Most values that are read of a tensor: a description may repeat one value without end, and only those tensors are ever
/// read that a network asks for.
const MAX_VALUES: usize = 1 << 20;

/// What a reader of values stops with.
enum Stop {
    File,
    Enough,
}

impl From<Error> for Stop {
    fn from(_: Error) -> Stop {
        Stop::File
    }
}

/// Describes the file and reads its tensors. Whatever it is, this returns.
pub fn read(file: Vec<u8>) {
    read_with(file, |_| Ok(Box::new(Vec::new())));
}

/// As `read`, with the files beside it.
pub fn read_with(file: Vec<u8>, beside: impl Fn(&str) -> Result<Box<dyn Source>, Error>) {
    let Ok(checkpoint) = Checkpoint::describe(Path::new("fuzz"), Box::new(file), beside) else {
        return;
    };
    for tensor in checkpoint.tensors() {
        let mut n_read = 0;
        let outcome = checkpoint.read(tensor, |values| {
            n_read += values.len();
            if n_read > MAX_VALUES { Err(Stop::Enough) } else { Ok(()) }
        });
        if outcome.is_ok() {
            assert_eq!(n_read as u64, tensor.n_values(), "{tensor:?}");
        }
    }
}

/// The lines of a file, without their line feeds.
pub fn lines(file: &[u8]) -> Vec<&[u8]> {
    file.split(|&byte| byte == b'\n').collect()
}
