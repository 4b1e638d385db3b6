//! Files for tests: zip archives down to each field, and the checkpoints of PyTorch and numpy around given values.
#![allow(
    dead_code,
    missing_docs,
    reason = "two test crates include this file, and neither needs all of it"
)]

/// A member of a zip archive. What is said of it may be false.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub stored: Vec<u8>,
    pub n_decoded: u32,
    pub crc: u32,
    pub method: u16,
    pub flags: u16,
    /// First byte of its local header; `None` where it is.
    pub header: Option<u32>,
}

impl Member {
    /// A member that is stored as it is.
    pub fn plain(name: &str, data: Vec<u8>) -> Member {
        let (n_decoded, crc) = (data.len() as u32, crc32(&data));
        Member {
            name: name.to_owned(),
            stored: data,
            n_decoded,
            crc,
            method: 0,
            flags: 0,
            header: None,
        }
    }
}

/// A zip archive of those members; its directory says that there are `n_said`.
pub fn zip_saying(members: &[Member], n_said: u16) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let header = member.header.unwrap_or(file.len() as u32);
        let (n_name, n_stored) = (member.name.len() as u16, member.stored.len() as u32);
        // Version, flags, method, time, date, CRC, sizes, lengths of name and extra field: as in both headers.
        let mut common = Vec::new();
        for number in [20, member.flags, member.method, 0, 0x21] {
            common.extend(number.to_le_bytes());
        }
        for number in [member.crc, n_stored, member.n_decoded] {
            common.extend(number.to_le_bytes());
        }
        common.extend([n_name, 0].map(u16::to_le_bytes).concat());
        file.extend([b"PK\x03\x04", &common[..], member.name.as_bytes(), &member.stored].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10]].concat());
        directory.extend([&header.to_le_bytes()[..], member.name.as_bytes()].concat());
    }
    let (n_directory, start) = (directory.len() as u32, file.len() as u32);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([n_said, n_said].map(u16::to_le_bytes).concat());
    file.extend([n_directory, start].map(u32::to_le_bytes).concat());
    file.extend([0, 0]);
    file
}

/// A zip archive of those members.
pub fn zip(members: &[Member]) -> Vec<u8> {
    zip_saying(members, members.len() as u16)
}

/// The sum of RFC 1952, a bit at a time.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (index, entry) in table.iter_mut().enumerate() {
        *entry = (0..8).fold(index as u32, |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)));
    }
    !bytes
        .iter()
        .fold(!0, |sum, byte| (sum >> 8) ^ table[((sum ^ u32::from(*byte)) & 255) as usize])
}

/// A tensor: name, shape, values.
pub type Named = (String, Vec<usize>, Vec<f32>);

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn int(value: usize) -> Vec<u8> {
    [&b"J"[..], &(value as i32).to_le_bytes()].concat()
}

fn ints(values: &[usize]) -> Vec<u8> {
    let items: Vec<u8> = values.iter().flat_map(|value| int(*value)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// The pickle of a dict of tensors, each with a storage of its own, whose key is its index. `view` ends each reference.
fn state(tensors: &[Named], view: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    for (key, (name, shape, values)) in tensors.iter().enumerate() {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        pickle.extend(text(name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend([&text("storage")[..], b"ctorch\nFloatStorage\n"].concat());
        pickle.extend([text(&key.to_string()), text("cpu"), int(values.len())].concat());
        pickle.extend([view, b"tQ", &int(0), &ints(shape), &ints(&strides)].concat());
        pickle.extend(b"\x89}tR");
    }
    pickle.extend(b"u.");
    pickle
}

/// What `torch.save` writes.
pub fn torch_zip(tensors: &[Named]) -> Vec<u8> {
    let mut members = vec![Member::plain("archive/data.pkl", state(tensors, b""))];
    for (key, (.., values)) in tensors.iter().enumerate() {
        members.push(Member::plain(&format!("archive/data/{key}"), bytes_of(values)));
    }
    zip(&members)
}

/// The first three pickles of PyTorch before 1.6: magic number, version, machine.
pub const TORCH_LEGACY: &[u8] =
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

/// What `torch.save` wrote before PyTorch 1.6.
pub fn torch_legacy(tensors: &[Named]) -> Vec<u8> {
    let mut file = [TORCH_LEGACY, &state(tensors, b"N"), b"\x80\x02]("].concat();
    (0..tensors.len()).for_each(|key| file.extend(text(&key.to_string())));
    file.extend(b"e.");
    for (.., values) in tensors {
        file.extend((values.len() as u64).to_le_bytes());
        file.extend(bytes_of(values));
    }
    file
}

/// An npy file with that type, shape (as Python writes it) and bytes.
pub fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let n = header.len() as u16;
    [b"\x93NUMPY\x01\0", &n.to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

/// What `numpy.savez` writes.
pub fn npz(tensors: &[Named]) -> Vec<u8> {
    let members: Vec<Member> = tensors
        .iter()
        .map(|(name, shape, values)| {
            let shape: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
            let array = npy("<f4", &format!("({shape})"), &bytes_of(values));
            Member::plain(&format!("{name}.npy"), array)
        })
        .collect();
    zip(&members)
}
