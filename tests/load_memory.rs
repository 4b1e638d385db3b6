//! Loading a checkpoint takes little more memory than the network that it fills, whatever the container.

#[path = "../src/checkpoints/written.rs"]
mod written;

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    time::Instant,
};

use cinetomo::{
    backbone::{Architecture, Network, find},
    monitor::Monitor,
    parameters::Start,
    weights,
};
use cinetomo_tests::{i3d_checkpoint, measured_by_child, reset_peak, status_bytes};
use tch::Device;

/// Tells the test `child` what to load.
const VARIABLE: &str = "CINETOMO_TEST_LOAD";

/// Name of another network to measure with; benches/record/checkpoints.md.
const NETWORK: &str = "CINETOMO_TEST_NETWORK";

/// Most memory at the peak of a load, as a multiple of the network's values; for I3D, a small network, whose largest tensor is a
/// sixth of it.
const MOST: f64 = 1.2;

/// The same of the flax pickle, whose kernels have their axes in another order: one at a time is turned round in memory.
const MOST_TURNED: f64 = 1.5;

/// Seconds to read a file and do nothing with it.
fn seconds_to_read(path: &Path) -> f64 {
    let start = Instant::now();
    let mut file = fs::File::open(path).expect("a file");
    let mut block = vec![0; 1 << 18];
    while file.read(&mut block).expect("bytes") > 0 {}
    start.elapsed().as_secs_f64()
}

/// Run by the other test in a process of its own: prints how much the peak of a load exceeds the memory before it and how
/// much the network takes, in bytes, and the seconds of the load and of only reading the file.
#[test]
fn child() {
    let Some(path) = env::var_os(VARIABLE) else { return };
    let path = PathBuf::from(path);
    // What libtorch takes once is no part of the load.
    let warm = tch::Tensor::f_from_slice(&[1f32; 1000]).expect("a tensor");
    assert!(warm.sum(tch::Kind::Float).double_value(&[]) == 1000.0);
    let seconds_to_read = seconds_to_read(&path);
    reset_peak();
    let (before, start) = (status_bytes("VmRSS"), Instant::now());
    let video = weights::load_video(&path, None, Device::Cpu, &mut Monitor::silent());
    let (seconds, peak) = (start.elapsed().as_secs_f64(), status_bytes("VmHWM"));
    let video = video.expect("a checkpoint");
    let values: i64 =
        video.network.parameters.iter().map(|parameter| parameter.tensor.numel() as i64).sum();
    println!("\nMEASURED {} {} {seconds} {seconds_to_read}", peak - before, values * 4);
}

#[test]
fn a_load_takes_little_more_than_the_network() {
    let name = env::var(NETWORK).unwrap_or("i3d".to_owned());
    let spec = find(&name).expect("a network");
    let network = Network::new(Architecture::default_of(spec), Device::Cpu, Start::Shapes)
        .expect("the network's names");
    let mut tensors: Vec<written::Named> = network
        .parameters
        .iter()
        .map(|parameter| {
            let shape: Vec<usize> =
                parameter.tensor.size().iter().map(|extent| *extent as usize).collect();
            let n: usize = shape.iter().product();
            (parameter.name.clone(), shape, (0..n).map(|index| (index % 17) as f32).collect())
        })
        .collect();
    tensors.push((spec.head_bias.to_owned(), vec![400], vec![0.0; 400]));
    let features = spec.n_features as usize;
    tensors.push((spec.head_weight.to_owned(), vec![400, features], vec![0.5; 400 * features]));

    let directory = tempfile::tempdir().expect("a temporary directory");
    let views = tensors.iter().map(|(name, shape, values)| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        (name.clone(), (shape.clone(), bytes))
    });
    let views: Vec<_> = views.collect();
    let views = views.iter().map(|(name, (shape, bytes))| {
        let dtype = safetensors::Dtype::F32;
        let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes);
        (name, view.expect("a tensor"))
    });
    let safetensors = safetensors::serialize(views, None).expect("a file");
    let files = [
        ("zip.pth", written::torch_zip(&tensors)),
        ("legacy.pth", written::torch_legacy(&tensors)),
        ("one.safetensors", safetensors),
        ("stored.npz", written::npz(&tensors)),
    ];
    let mut paths = Vec::new();
    for (name, file) in files {
        let path = directory.path().join(name);
        fs::write(&path, file).expect("a file");
        paths.push((path, MOST));
    }
    if name == "i3d" {
        paths.push((i3d_checkpoint(), MOST_TURNED));
    }
    for (path, most) in paths {
        let [peak, network, seconds, seconds_to_read] = measured_by_child(VARIABLE, &path);
        let times = peak / network;
        println!(
            "{}: {times:.3} times the network, {seconds:.3} s; only reading the file {seconds_to_read:.3} s",
            path.display()
        );
        assert!((0.9..=most).contains(&times), "{}: {times} times the network", path.display());
    }
}
