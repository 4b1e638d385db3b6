//! No file makes its reader ask for memory that it does not have itself, whatever sizes it claims.

use std::{fs, path::Path};

use cinetomo_checkpoints::{Checkpoint, Error, Source};
use peak_alloc::PeakAlloc;

#[path = "written.rs"]
mod written;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What reading takes for any file: blocks of the file, of values and of a zip directory.
const BLOCKS: usize = 2 << 20;

/// Bytes of memory for a byte of a file, at most: an object of a pickle takes some hundred and one byte of it.
const TIMES: usize = 200;

/// Most memory while the file is described and read, above what there was before.
fn peak(file: &[u8]) -> usize {
    let source: Box<dyn Source> = Box::new(file.to_vec());
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let beside = |_: &str| -> Result<Box<dyn Source>, Error> { Ok(Box::new(Vec::new())) };
    if let Ok(checkpoint) = Checkpoint::describe(Path::new("file"), source, beside) {
        for tensor in checkpoint.tensors().iter().filter(|tensor| tensor.n_values() < 1 << 20) {
            let _ = checkpoint.read(tensor, |_| -> Result<(), Error> { Ok(()) });
        }
    }
    ALLOCATOR.peak_usage().saturating_sub(before)
}

#[track_caller]
fn check(file: &[u8]) {
    let (peak, most) = (peak(file), BLOCKS + TIMES * file.len());
    assert!(peak <= most, "{} bytes of file took {peak} bytes of memory", file.len());
}

/// Tests of this file take turns: the allocator counts for all threads.
#[test]
fn memory_stays_in_the_class_of_the_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/checkpoints");
    let mut n = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() || path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        let file = fs::read(&path).unwrap();
        check(&file);
        // Every number, made large.
        for position in (0..file.len()).step_by(3) {
            let mut large = file.clone();
            large[position] = 0xff;
            if let Some(next) = large.get_mut(position + 1) {
                *next = 0x7f;
            }
            check(&large);
        }
        n += 1;
    }
    assert!(n > 10, "{n} files");

    let huge = u64::MAX / 2;
    let npy = |header: &[u8]| written::zip(&[written::Member::plain("a.npy", header.to_vec())]);
    let claim = |shape: &str| npy(&written::npy("<f4", shape, &[0; 8]));
    for file in [
        [&huge.to_le_bytes()[..], b"{"].concat(),
        [&100_000_000u64.to_le_bytes()[..], b"{"].concat(),
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
        b"\x80\x04\x8b\xff\xff\xff\x7f".to_vec(),
        [written::TORCH_LEGACY, b"\x80\x02X\xff\xff\xff\x7f"].concat(),
        npy(b"\x93NUMPY\x02\0\xff\xff\xff\x7f"),
        claim("(1099511627776,)"),
        claim("(2, 4611686018427387904)"),
        b"{\"weight_map\": {".repeat(1000),
    ] {
        check(&file);
    }
    // A member that says it unpacks to 4 GB, and one that does unpack to 1000 times its size.
    let zeros = written::Member { method: 8, ..written::Member::plain("a.npy", vec![0; 64]) };
    check(&written::zip(&[written::Member { n_decoded: u32::MAX - 1, ..zeros }]));
}
