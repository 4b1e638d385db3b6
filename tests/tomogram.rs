//! From tomogram to boxes through the contract: simulated tomograms, picking, extraction, as a host uses them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cinetomo_abi::{
    cinetomo_contrast as Contrast, cinetomo_device as Device, cinetomo_edge as Edge,
};
use cinetomo_host::{
    Context, Hooks, Pick, Picked, Plugin, Tomogram, Volume,
    abi::{cinetomo_status as Status, cinetomo_synthetic_particle as Particle},
};
use cinetomo_tests::library;

const SHAPE: [i64; 3] = [72, 150, 140];
const VOXEL_SIZE: f64 = 10.0;

fn context() -> Context {
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin loads");
    let mut options = plugin.context_options();
    options.device = Device::Cpu as i32;
    plugin.context(options).expect("a context")
}

/// A tomogram of 40 particles and what is in it: in focus and with little noise, so that all can be found. How many are
/// found out of focus and in more noise is measured by benches/picking.rs.
fn simulated(context: &Context, seed: u64) -> (Vec<f32>, Vec<Particle>) {
    let synthetic = context.synthetic().expect("the extension");
    let labels: Vec<i32> = (0..40).map(|index| [2, 4, 6, 3][index % 4]).collect();
    let mut options = synthetic.options().expect("options");
    (options.snr, options.defocus, options.seed) = (1.0, 0.0, seed);
    let simulated = synthetic.simulate_tomogram(None, &labels, SHAPE, &options, Hooks::none());
    let (voxels, particles) = simulated.expect("a tomogram");
    assert_eq!(particles.iter().map(|particle| particle.label).collect::<Vec<_>>(), labels);
    (voxels, particles)
}

/// A region of a tomogram in memory, as a reader of files would fetch it.
fn copy(voxels: &[f32], start: [i64; 3], extent: [i64; 3], out: &mut [f32]) {
    for (row, out) in out.chunks_mut(extent[2] as usize).enumerate() {
        let (z, y) = (row as i64 / extent[1], row as i64 % extent[1]);
        let at = ((start[0] + z) * SHAPE[1] + start[1] + y) * SHAPE[2] + start[2];
        out.copy_from_slice(&voxels[at as usize..][..out.len()]);
    }
}

fn in_memory(voxels: &[f32]) -> Tomogram<'_> {
    let [z, y, x] = SHAPE;
    let volume = Volume::new(voxels, [1, z, y, x]).expect("a volume");
    Tomogram::in_memory(volume.voxel_size(VOXEL_SIZE).contrast(Contrast::Dark))
}

fn pick(pick: &Pick, tomogram: &mut Tomogram<'_>, max_memory: u64) -> Vec<Picked> {
    let mut options = pick.pick_options().expect("options");
    options.particle_diameter = 130.0;
    options.min_distance = 8.0;
    (options.n_max, options.max_memory) = (40, max_memory);
    pick.pick(tomogram, &options, Hooks::none()).expect("particles")
}

fn distance(a: [f32; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|axis| (f64::from(a[axis]) - b[axis]).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn particles_are_found_read_piece_by_piece_or_not() {
    let context = context();
    let (voxels, truth) = simulated(&context, 3);
    let picker = context.pick().expect("the extension");
    let whole = pick(&picker, &mut in_memory(&voxels), 512 << 20);
    let mut largest = 0;
    let read = |start, extent: [i64; 3], out: &mut [f32]| {
        largest = largest.max(extent.iter().product::<i64>());
        copy(&voxels, start, extent, out);
        Ok(())
    };
    let mut tomogram = Tomogram::read_by(SHAPE, VOXEL_SIZE, Contrast::Dark, read);
    let in_pieces = pick(&picker, &mut tomogram, 4 << 20);
    drop(tomogram);
    assert_eq!(in_pieces, whole);
    // Four buffers of four bytes a voxel.
    assert!(largest * 16 <= 4 << 20, "{largest} voxels at a time");

    assert!(whole.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let found = truth
        .iter()
        .filter(|particle| whole.iter().any(|p| distance(p.position, particle.position) < 5.0))
        .count();
    assert!(found >= 38, "{found} of 40 particles were found");
}

#[test]
fn boxes_hold_the_particles_that_they_were_cut_around() {
    let context = context();
    let (voxels, truth) = simulated(&context, 4);
    let picker = context.pick().expect("the extension");
    let mut positions: Vec<[f32; 3]> =
        truth.iter().map(|particle| particle.position.map(|along| along as f32)).collect();
    positions.push([2.0, 3.0, 4.0]);
    let mut options = picker.extract_options().expect("options");
    (options.box_size, options.edge) = (14, Edge::Skip as i32);
    options.contrast = Contrast::Bright as i32;
    let cut = picker
        .extract(&mut in_memory(&voxels), &positions, &options, Hooks::none())
        .expect("boxes");
    assert!(!cut.indices.contains(&40), "the last one reaches beyond the tomogram");
    assert_eq!(cut.voxels.len(), cut.indices.len() * 14 * 14 * 14);
    // Around particles the tomogram is brighter than on the whole, once dark has become bright.
    let mean =
        |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    let n_bright = cut
        .voxels
        .chunks(14 * 14 * 14)
        .filter(|voxels_of_box| mean(voxels_of_box) > -mean(&voxels))
        .count();
    assert!(n_bright * 10 >= cut.indices.len() * 9, "{n_bright} of {}", cut.indices.len());

    // Whole positions and equal voxels: plain copies, negated.
    options.contrast = Contrast::Unknown as i32;
    let mut tomogram = in_memory(&voxels);
    let centre = [[30.0, 70.0, 80.0]];
    let cut = picker.extract(&mut tomogram, &centre, &options, Hooks::none()).expect("a box");
    let mut expected = vec![0.0; 14 * 14 * 14];
    copy(&voxels, [23, 63, 73], [14; 3], &mut expected);
    for (ours, theirs) in cut.voxels.iter().zip(&expected) {
        assert!((ours - theirs).abs() < 1e-4, "{ours}, not {theirs}");
    }
}

#[test]
fn what_the_reader_says_comes_out_of_the_call() {
    let context = context();
    let picker = context.pick().expect("the extension");
    let options = picker.pick_options().expect("options");
    let mut n_calls = 0;
    let mut broken = Tomogram::read_by(SHAPE, VOXEL_SIZE, Contrast::Dark, |_, _, _| {
        n_calls += 1;
        Err("the disk is gone".to_owned())
    });
    let error = picker.pick(&mut broken, &options, Hooks::none()).expect_err("no disk");
    drop(broken);
    assert!(error.is(Status::Io) && error.message() == "the disk is gone", "{error}");
    assert_eq!(n_calls, 1);

    let mut panics = Tomogram::read_by(SHAPE, VOXEL_SIZE, Contrast::Dark, |_, _, _| panic!("mine"));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _ = picker.pick(&mut panics, &options, Hooks::none());
    }));
    assert_eq!(outcome.expect_err("a panic").downcast_ref::<&str>(), Some(&"mine"));
}

#[test]
fn crowded_subtomograms_come_with_their_particles() {
    let context = context();
    let synthetic = context.synthetic().expect("the extension");
    let options = synthetic.options_liu_2020().expect("options");
    assert_eq!((options.n_neighbours, options.snr, options.contrast), (4, 0.03, 2));
    let (voxels, particles) = synthetic
        .simulate_particles(None, &[5, 0, 2], &options, Hooks::none())
        .expect("subtomograms");
    assert_eq!((voxels.len(), particles.len()), (3 * 32 * 32 * 32, 15));
    assert_eq!([0, 5, 10].map(|target: usize| particles[target].label), [5, 0, 2]);
    for particle in &particles {
        assert!((particle.snr / 0.03 - 1.0).abs() < 1e-3 && particle.radius > 3.0);
        // Rows of a rotation have length 1.
        for row in particle.rotation.chunks(3) {
            assert!((row.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
    let same = synthetic.simulate(None, &[5, 0, 2], &options, Hooks::none()).expect("the same");
    assert_eq!(voxels, same);
}
