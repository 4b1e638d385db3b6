//! Which file it was.

use std::io;

use sha2::{Digest, Sha256};

use crate::{
    checkpoint::Checkpoint,
    error::{Error, Result},
};

/// Bytes read at a time.
const BLOCK: u64 = 1 << 18;

impl Checkpoint {
    /// SHA-256 of the file, 64 lower-case hexadecimal digits; of a checkpoint in parts, of the index and the parts in the
    /// order of their names, one after the other. `None` if `go_on`, which is told how many bytes are done, says no.
    pub fn sha256(&self, mut go_on: impl FnMut(u64) -> bool) -> Result<Option<String>> {
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK as usize];
        let mut n_done = 0;
        for source in self.sources() {
            let n_bytes = source.n_bytes();
            for start in (0..n_bytes).step_by(BLOCK as usize) {
                let block = &mut block[..BLOCK.min(n_bytes - start) as usize];
                let read = source.read_exact_at(block, start);
                read.map_err(|error: io::Error| Error::io(&error).in_file(self.path()))?;
                hash.update(&*block);
                n_done += block.len() as u64;
                if !go_on(n_done) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}
