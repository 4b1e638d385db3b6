//! TIFF files that lie.

use std::{fs, path::Path};

use super::TiffFile;
use crate::{
    error::{ErrorKind, Result},
    volumes::VolumeSource,
};

fn good(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/volumes").join(name)).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<()> {
    let file = TiffFile::from_bytes(Path::new("file.tif"), bytes)?;
    for index in 0..file.n_volumes() {
        file.read(index)?;
    }
    Ok(())
}

/// The first directory of a little-endian file with 32-bit offsets.
fn first_directory(bytes: &[u8]) -> usize {
    assert_eq!(&bytes[..4], b"II*\0");
    u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize
}

/// Where an entry of the first directory lies.
fn entry(bytes: &[u8], tag: u16) -> usize {
    let directory = first_directory(bytes);
    let n = u16::from_le_bytes([bytes[directory], bytes[directory + 1]]) as usize;
    (0..n)
        .map(|index| directory + 2 + 12 * index)
        .find(|at| bytes[*at..*at + 2] == tag.to_le_bytes())
        .unwrap_or_else(|| panic!("no tag {tag}"))
}

/// Overwrites count and value of an entry.
fn change(bytes: &mut [u8], tag: u16, count: u32, value: u32) {
    let at = entry(bytes, tag);
    bytes[at + 4..at + 8].copy_from_slice(&count.to_le_bytes());
    bytes[at + 8..at + 12].copy_from_slice(&value.to_le_bytes());
}

fn message(bytes: Vec<u8>) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn a_directory_that_lies_is_told_so() {
    // Two pages of 3 x 4 voxels of 16 bits, each a strip of 24 bytes.
    let name = "plain_u2.tif";
    read(good(name)).unwrap();
    let cases: &[(u16, u32, u32, &str)] = &[
        (256, 1, 0, "page 0: tag 256, an extent, is 0"),
        (256, 1, 1 << 20, "3 x 1048576 voxels (unsigned 16-bit integer) cannot be in 24 bytes"),
        (257, 1, u32::MAX, "page 0: 4294967295 x 4 voxels in chunks of 3 x 4: found 1 offsets"),
        (258, 1, 12, "12 bits a sample of format 1"),
        (259, 1, 7, "compression 7, expected 1, 5, 8, 32773 or 32946"),
        (262, 1, 0, "photometric interpretation 0: expected grey"),
        (262, 1, 2, "photometric interpretation 2: expected grey"),
        (277, 1, 3, "3 samples a pixel"),
        (273, 1, 1 << 30, "chunk 0: 24 bytes from byte 1073741824 on, the file ends at byte"),
        (273, 2, 8, "found 2 offsets and 1 sizes of chunks"),
        (279, 1, 23, "3 x 4 voxels (unsigned 16-bit integer) cannot be in 23 bytes"),
        (279, 1, u32::MAX, "page 0: chunk 0: 4294967295 bytes from byte"),
        (279, u32::MAX, 8, "tag 279 has 4294967295 values of type"),
    ];
    for (tag, count, value, expected) in cases {
        let mut bytes = good(name);
        change(&mut bytes, *tag, *count, *value);
        let message = message(bytes);
        assert!(message.contains(expected), "tag {tag}: {message}");
    }
    // Pages of different height.
    let mut bytes = good(name);
    change(&mut bytes, 257, 1, 2);
    let text = message(bytes);
    assert!(
        text.contains(
            "page 1: expected 2 x 4 voxels (unsigned 16-bit integer) as page 0, found 3 x 4"
        ),
        "{text}"
    );
}

#[test]
fn pages_that_go_round_or_share_their_bytes_are_refused() {
    let mut bytes = good("plain_u2.tif");
    let directory = first_directory(&bytes);
    let n = u16::from_le_bytes([bytes[directory], bytes[directory + 1]]) as usize;
    let next = directory + 2 + 12 * n;
    bytes[next..next + 4].copy_from_slice(&(directory as u32).to_le_bytes());
    let text = message(bytes);
    assert!(text.contains("overlap"), "{text}");
}

#[test]
fn a_description_that_the_pages_belie_is_told_so() {
    let mut bytes = good("imagej_u1_little.tif");
    let at = bytes.windows(9).position(|window| window == b"slices=2\n").unwrap();
    bytes[at + 7] = b'4';
    let error = read(bytes.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("slices=4 and frames=3 are not images=6"), "{error}");
    let at = bytes.windows(9).position(|window| window == b"images=6\n").unwrap();
    bytes.splice(at + 7..at + 8, *b"12");
    // The rest of the file has moved by one byte; the description has a byte to spare for its 0.
    let text = message(bytes);
    assert!(text.starts_with("file.tif: "), "{text}");

    // All voxels behind one page, but not all are there.
    let mut bytes = good("imagej_one_page.tif");
    bytes.pop();
    let text = message(bytes);
    assert!(
        text.contains("3 volumes of [2, 4, 5] voxels") && text.contains("the file at byte"),
        "{text}"
    );
}

#[test]
fn packed_chunks_that_are_damaged_are_told_so() {
    for (name, packing) in
        [("lzw.tif", "LZW"), ("packbits.tif", "PackBits"), ("deflate.tif", "deflate")]
    {
        let mut bytes = good(name);
        // The chunk claims fewer bytes than it has.
        let at = entry(&bytes, 279);
        let count = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        change(&mut bytes, 279, 1, count / 2);
        let text = message(bytes);
        assert!(text.contains("page 0: chunk 0: ") && text.contains(packing), "{name}: {text}");
    }
}
