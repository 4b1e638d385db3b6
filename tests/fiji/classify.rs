//! "Classify Subtomograms" without a display: every kind of image that ImageJ has gives the very probabilities that the Rust
//! host gets for the same voxels.

use std::{fs, path::Path};

use cinetomo_host::{
    GradCamOptions, Hooks, Model, ModelOptions, Volume, Voxel, abi::cinetomo_cam_method,
};

use crate::Installation;

const SHAPE: [i64; 4] = [3, 16, 18, 20];
const N: usize = 3 * 16 * 18 * 20;

/// Half of the last digit in the results table, and rounding.
const TOLERANCE: f32 = 2e-6;

/// Voxels from -1 to 1 without symmetry: waves whose direction and length differ from box to box.
fn waves() -> Vec<f32> {
    let value = |index: usize| {
        let [x, y, z, n] = [index % 20, index / 20 % 18, index / 360 % 16, index / 5760];
        let phase =
            0.31 * x as f32 + (0.23 + 0.2 * n as f32) * y as f32 - 0.17 * (z * (n + 1)) as f32;
        0.7 * phase.sin() + 0.3 * ((x * x + 3 * y + z) as f32 * 0.05).cos()
    };
    (0..N).map(value).collect()
}

fn probabilities<T: Voxel>(model: &Model, voxels: &[T]) -> Vec<f32> {
    let volume = Volume::new(voxels, SHAPE).expect("a volume");
    model.classify(&volume, Hooks::none()).expect("probabilities")
}

/// The columns P(...) of a table that ImageJ saved.
fn table(path: &Path) -> Vec<f32> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("particle,class,probability,P(one),P(two)"));
    let mut values = Vec::new();
    for (row, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let [one, two] = [3, 4].map(|column| cells[column].parse::<f32>().expect("a number"));
        assert_eq!(cells[0], (row + 1).to_string());
        assert_eq!(cells[1], if one > two { "one" } else { "two" });
        assert_eq!(cells[2], cells[if one > two { 3 } else { 4 }]);
        values.extend([one, two]);
    }
    values
}

/// The rows of each section from the last to the first.
fn flip(voxels: &[f32]) -> Vec<f32> {
    voxels.chunks(18 * 20).flat_map(|section| section.chunks(20).rev().flatten().copied()).collect()
}

/// A hyperstack as ImageJ saves it, of bytes that mean 510 - 2 x: one directory, all planes behind each other.
fn calibrated_tiff(voxels: &[u8]) -> Vec<u8> {
    let description = b"ImageJ=1.54p\nimages=48\nslices=16\nframes=3\nhyperstack=true\ncf=0\nc0=510.0\nc1=-2.0\nvunit=grey\n\0";
    let description_at = 8 + 2 + 9 * 12 + 4;
    let pixels_at = description_at + description.len() as u32;
    let plane = 18 * 20;
    // Width, height, bits, compression, black is zero, description, place, rows and bytes of the strip.
    let entries: [[u32; 4]; 9] = [
        [256, 4, 1, 20],
        [257, 4, 1, 18],
        [258, 3, 1, 8],
        [259, 3, 1, 1],
        [262, 3, 1, 1],
        [270, 2, description.len() as u32, description_at],
        [273, 4, 1, pixels_at],
        [278, 4, 1, 18],
        [279, 4, 1, plane],
    ];
    let mut file = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for [tag, kind, count, value] in entries {
        file.extend((tag as u16).to_le_bytes());
        file.extend((kind as u16).to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend(description);
    file.extend(voxels);
    file
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn images_of_every_kind_are_read_as_they_are_meant() {
    let installation = Installation::get();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| folder.path().join(name);

    let plugin = installation.plugin();
    let mut options = plugin.context_options();
    options.device = cinetomo_host::abi::cinetomo_device::Cpu as i32;
    let context = plugin.context(options).expect("a context");
    // One view: the mean of all mirror images would hide a flipped axis.
    let mut preprocess = plugin.preprocess_options();
    preprocess.n_views = 1;
    let options =
        ModelOptions { preprocess: Some(preprocess), ..ModelOptions::new(["one", "two"]) };
    let model = context.model_random(&options).expect("a model");
    model.save(at("model.safetensors")).expect("saved");

    let f32s = waves();
    let u8s: Vec<u8> = f32s.iter().map(|value| (127.5 + 120.0 * value) as u8).collect();
    let u16s: Vec<u16> = f32s.iter().map(|value| (32768.0 + 30000.0 * value) as u16).collect();
    let i16s: Vec<i16> = f32s.iter().map(|value| (20000.0 * value) as i16).collect();
    let flipped = flip(&f32s);
    let inverted: Vec<f32> = u8s.iter().map(|value| 510.0 - 2.0 * f32::from(*value)).collect();
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    for (name, content) in [
        ("u8", u8s.clone()),
        ("u16", u16s.iter().flat_map(|value| value.to_le_bytes()).collect()),
        ("i16", i16s.iter().flat_map(|value| value.to_le_bytes()).collect()),
        ("f32", bytes(&f32s)),
        ("flipped", bytes(&flipped)),
        ("plain", bytes(&f32s)),
    ] {
        fs::write(at(&format!("{name}.raw")), content).expect("a raw file");
    }

    fs::write(at("inverted.tif"), calibrated_tiff(&u8s)).expect("a TIFF file");

    let printed = installation.headless("classify.ijm", folder.path().to_str().expect("UTF-8"));
    assert_eq!(
        printed, "Grad-CAM of f32.raw 16 3\nGrad-CAM of flipped.raw 16 3\noverlay 16\n",
        "a second overlay takes the place of the first"
    );
    let truth = probabilities(&model, &f32s);
    for (name, expected) in [
        ("u8", probabilities(&model, &u8s)),
        ("u16", probabilities(&model, &u16s)),
        ("i16", probabilities(&model, &i16s)),
        ("f32", truth.clone()),
        ("flipped", truth.clone()),
        ("plain", truth.clone()),
        ("inverted", probabilities(&model, &inverted)),
    ] {
        let found = table(&at(&format!("{name}.csv")));
        let off = distance(&found, &expected);
        assert!(off < TOLERANCE, "{name}: {found:?}, expected {expected:?}");
    }

    let volume = Volume::new(&f32s, SHAPE).expect("a volume");
    let heat = |class_index, method, stage: Option<&str>| {
        let stage = stage.map(str::to_owned);
        let options = GradCamOptions { stage, class_index, method, rectify: None };
        model.grad_cam(&volume, &options, Hooks::none()).expect("a map")
    };
    let respond = heat(Some(1), cinetomo_cam_method::RespondCam, None);
    for (name, expected) in [
        ("heat_f32", heat(Some(0), cinetomo_cam_method::GradCam, None)),
        ("heat_flipped", flip(&respond)),
        ("heat_plain", heat(None, cinetomo_cam_method::GradCam, Some("Mixed_3c"))),
    ] {
        // ImageJ writes the high byte first.
        let bytes = fs::read(at(&format!("{name}.raw"))).expect("a heat map");
        let number = |bytes: &[u8]| f32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let found: Vec<f32> = bytes.chunks(4).map(number).collect();
        let largest = expected.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
        assert!(largest > 0.0, "{name} is empty");
        assert!(distance(&found, &expected) < 1e-5 * largest, "{name}");
    }
    assert!(distance(&respond, &flip(&respond)) > 0.1 * distance(&respond, &vec![0.0; N]));

    // The readings that would be wrong are told apart: reversed rows, signed bytes, ImageJ's own 16-bit numbers taken for
    // signed ones, and grey values without their calibration.
    let signed: Vec<i8> = u8s.iter().map(|value| *value as i8).collect();
    let wrapped: Vec<i16> = i16s.iter().map(|value| value ^ i16::MIN).collect();
    for (wrong, right) in [
        (probabilities(&model, &flipped), truth),
        (probabilities(&model, &signed), probabilities(&model, &u8s)),
        (probabilities(&model, &wrapped), probabilities(&model, &i16s)),
        (probabilities(&model, &u8s), probabilities(&model, &inverted)),
    ] {
        assert!(distance(&wrong, &right) > 50.0 * TOLERANCE, "{wrong:?} {right:?}");
    }
}
