//! What a fuzzer does with a file of voxels: open it and read blocks, which must be parts of one whole.

use std::path::Path;

use cinetomo_formats::volumes::{Options, VolumeSource, from_bytes};

/// Most voxels that are read of a volume: packed files may hold far more than their own bytes.
const MAX_VOXELS: usize = 1 << 20;

/// Opens the file under that name, and for `.npz` files each data set of MedMNIST3D, and reads. Whatever it is, this
/// returns.
pub fn read(name: &str, file: &[u8]) {
    for array in [None, Some("train_images"), Some("a")] {
        if array.is_some() && !file.starts_with(b"PK") {
            return;
        }
        let options = Options { array: array.map(str::to_owned), ..Options::default() };
        if let Ok(source) = from_bytes(Path::new(name), file.to_vec(), &options) {
            read_source(&*source);
        }
    }
}

fn read_source(source: &dyn VolumeSource) {
    let shape = source.shape();
    assert!(source.n_volumes() > 0 && shape.iter().all(|&extent| extent > 0), "{source:?}");
    assert!(source.voxel_size().is_finite() && source.voxel_size() >= 0.0, "{source:?}");
    assert!(!source.format().is_empty());
    for index in [0, source.n_volumes() - 1] {
        let mut size = shape;
        for axis in 0..3 {
            let others: usize =
                (0..3).filter(|&other| other > axis).map(|other| size[other]).product();
            size[axis] = size[axis].min((MAX_VOXELS / others.max(1)).max(1));
            if others > MAX_VOXELS {
                return;
            }
        }
        let start = [0, 1, 2].map(|axis| shape[axis] - size[axis]);
        let Ok(block) = source.read_block(index, start, size) else { continue };
        assert_eq!(block.dim(), size.into());
        let last =
            source.read_block(index, shape.map(|extent| extent - 1), [1; 3]).expect("a part");
        let in_block = block[size.map(|extent| extent - 1)];
        assert_eq!(last[[0; 3]].to_bits(), in_block.to_bits(), "{source:?}");
    }
    let beyond = [shape[0], 0, 0];
    assert!(source.read_block(0, beyond, [1; 3]).is_err());
    assert!(source.read_block(source.n_volumes(), [0; 3], [1; 3]).is_err());
    assert!(source.read_block(0, [usize::MAX; 3], [usize::MAX; 3]).is_err());
}
