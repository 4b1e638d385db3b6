//! Calls of the extensions: simulation, picking, cutting out, maps of embeddings.

use std::{ffi::c_void, fs::File, ptr, slice};

use cinetomo_abi::*;

use crate::{
    draw::{Buffer, Draw, Padded},
    models::volume,
    small::{array, capacity},
    world::{World, call, check_len, initialised},
};

pub fn run(world: &World, log: &mut File, draw: &mut Draw) {
    match draw.below(8) {
        0 => phantom(world, log, draw),
        1 => simulate(world, log, draw),
        2 => simulate_tomogram(world, log, draw),
        3 | 4 => pick(world, log, draw),
        5 => extract(world, log, draw),
        6 => tsne(world, log, draw),
        _ => separation(world, log, draw),
    }
}

const NOTHING: cinetomo_synthetic_particle = cinetomo_synthetic_particle {
    position: [0.0; 3],
    rotation: [0.0; 9],
    radius: 0.0,
    snr: 0.0,
    label: -9,
    reserved: 0,
};

/// A particle that buffers can compare.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct Particle(cinetomo_synthetic_particle);

impl PartialEq for Particle {
    fn eq(&self, other: &Particle) -> bool {
        (self.0.label, self.0.position) == (other.0.label, other.0.position)
    }
}

fn phantom(world: &World, log: &mut File, draw: &mut Draw) {
    call(world, log, draw, "phantom_density", |call, draw| {
        let index = draw.of(&[0, 1, 2, 6, 7, usize::MAX]);
        let (mut edge, mut voxel_size) = (draw.of(&[8i64, 9, 16]), 20.0);
        draw.spoil(&mut [&mut edge, &mut voxel_size]);
        let room = capacity(edge.clamp(1, 16).pow(3) as usize, draw);
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        // SAFETY: valid arguments.
        let status = unsafe {
            (world.synthetic.phantom_density)(
                index,
                edge,
                voxel_size,
                out.pointer(),
                room,
                &mut len,
                call.out_error(),
            )
        };
        out.check(check_len("phantom_density", status, room, len), "phantom_density");
        status
    });
}

fn synthetic_options(world: &World, draw: &mut Draw) -> Padded<cinetomo_synthetic_options> {
    let init = draw.of(&[world.synthetic.options_init, world.synthetic.options_init_liu_2020]);
    let mut options = cinetomo_synthetic_options {
        box_size: draw.of(&[8, 8, 9, 16]),
        voxel_size: draw.of(&[10.0, 20.0, 40.0]),
        max_shift: 1.0,
        n_neighbours: draw.of(&[0, 0, 1, 4]),
        ..initialised(init)
    };
    let o = &mut options;
    draw.spoil(&mut [
        &mut o.box_size,
        &mut o.voxel_size,
        &mut o.snr,
        &mut o.tilt_range,
        &mut o.max_shift,
        &mut o.defocus,
        &mut o.voltage,
        &mut o.spherical_aberration,
        &mut o.seed,
        &mut o.contrast,
        &mut o.envelope,
        &mut o.band_limit,
        &mut o.band_edge,
        &mut o.noise_before,
        &mut o.mtf,
        &mut o.n_neighbours,
        &mut o.tilt_axis,
        &mut o.beam_axis,
        &mut o.reserved_2,
    ]);
    Padded::new(options).size(draw, |options| &mut options.struct_size)
}

fn labels(draw: &mut Draw) -> Vec<i32> {
    let n = 1 + draw.below(3);
    (0..n)
        .map(|_| if draw.fault(3) { draw.of(&[7, -1]) } else { draw.of(&[0, 1, 2, 3, 6]) })
        .collect()
}

fn simulate(world: &World, log: &mut File, draw: &mut Draw) {
    let labels = labels(draw);
    call(world, log, draw, "simulate_particles", |call, draw| {
        let densities = volume(world, draw);
        let densities = if draw.once_in(4) { &raw const densities.value } else { ptr::null() };
        let options = synthetic_options(world, draw);
        let hooks = call.hooks(draw);
        let (l, n_labels) = array(&labels, draw);
        let edge = options.value.box_size.clamp(1, 16) as usize;
        let room = capacity(labels.len() * edge.pow(3), draw);
        let n_neighbours = options.value.n_neighbours.clamp(0, 32) as usize;
        let n_particles = capacity(labels.len() * (1 + n_neighbours), draw);
        let mut particles = Buffer::new(n_particles, Particle(NOTHING));
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        // SAFETY: valid or such that the library must see that they are not.
        let status = unsafe {
            (world.synthetic.simulate_particles)(
                world.handle(&world.contexts, draw),
                densities,
                l,
                n_labels,
                &options.value,
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                particles.pointer().cast(),
                n_particles,
                call.out_error(),
            )
        };
        let n_written = check_len("simulate_particles", status, room, len);
        out.check(n_written, "simulate_particles");
        particles.check(if n_written > 0 { n_particles } else { 0 }, "particles");
        status
    });
}

fn simulate_tomogram(world: &World, log: &mut File, draw: &mut Draw) {
    let labels = labels(draw);
    call(world, log, draw, "simulate_tomogram", |call, draw| {
        let options = synthetic_options(world, draw);
        let hooks = call.hooks(draw);
        let mut shape = [draw.of(&[8i64, 16, 32]), 32, draw.of(&[8, 24, 32])];
        draw.spoil(&mut [&mut shape]);
        let (l, n_labels) = array(&labels, draw);
        let n_voxels: i64 = shape.iter().map(|edge| edge.clamp(&1, &32)).product();
        let room = capacity(n_voxels as usize, draw);
        let n_particles = capacity(labels.len(), draw);
        let mut particles = Buffer::new(n_particles, Particle(NOTHING));
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        // SAFETY: as above.
        let status = unsafe {
            (world.synthetic.simulate_tomogram)(
                world.handle(&world.contexts, draw),
                ptr::null(),
                l,
                n_labels,
                if draw.fault(20) { ptr::null() } else { shape.as_ptr() },
                &options.value,
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                particles.pointer().cast(),
                n_particles,
                call.out_error(),
            )
        };
        let n_written = check_len("simulate_tomogram", status, room, len);
        out.check(n_written, "simulate_tomogram");
        particles.check(if n_written > 0 { n_particles } else { 0 }, "particles");
        status
    });
}

/// What a reader of a tomogram does.
#[derive(Clone, Copy)]
struct Reader {
    shape: [i64; 3],
    /// Reads that succeed before one fails; negative = all.
    n_good: i64,
    value: f32,
}

unsafe extern "C" fn read(
    reader: *mut c_void,
    z0: i64,
    y0: i64,
    x0: i64,
    nz: i64,
    ny: i64,
    nx: i64,
    out: *mut f32,
) -> i32 {
    // SAFETY: the reader of this call, and room for as many voxels as are asked for.
    let (reader, out) = unsafe {
        let reader = &mut *reader.cast::<Reader>();
        (reader, slice::from_raw_parts_mut(out, (nz * ny * nx) as usize))
    };
    for ((start, n), extent) in [(z0, nz), (y0, ny), (x0, nx)].into_iter().zip(reader.shape) {
        assert!(start >= 0 && n > 0 && start + n <= extent, "{start} {n} of {extent}");
    }
    for (index, value) in out.iter_mut().enumerate() {
        *value = (index as f32 * 0.7 + (z0 + y0 + x0) as f32).sin() + reader.value;
    }
    reader.n_good -= 1;
    i32::from(reader.n_good == -1) * 3
}

/// A tomogram that is read by `read`, or one in memory.
fn tomogram(
    world: &World,
    draw: &mut Draw,
    reader: &mut Reader,
    voxels: &Padded<cinetomo_volume>,
) -> Padded<cinetomo_tomogram> {
    let mut tomogram = cinetomo_tomogram {
        contrast: draw.of(&[1, 1, 2, 0]),
        voxel_size: draw.of(&[0.0, 10.0, 10.0]),
        ..initialised(world.picker.tomogram_init)
    };
    let from_memory = draw.once_in(3);
    if from_memory || draw.fault(20) {
        tomogram.voxels = &voxels.value;
    }
    if !from_memory || draw.fault(20) {
        tomogram.shape = [draw.of(&[1, 8, 20, 33]), draw.of(&[8, 17, 40]), draw.of(&[8, 30])];
        tomogram.read = Some(read);
    }
    let t = &mut tomogram;
    draw.spoil(&mut [&mut t.shape, &mut t.voxel_size, &mut t.contrast, &mut t.reserved]);
    reader.shape = tomogram.shape;
    tomogram.user_data = ptr::from_mut(reader).cast();
    Padded::new(tomogram).size(draw, |tomogram| &mut tomogram.struct_size)
}

fn reader(draw: &mut Draw) -> Reader {
    Reader {
        shape: [0; 3],
        n_good: draw.of(&[-1, -1, -1, -1, -1, 0, 1, 3]),
        value: draw.of(&[0.0, 0.0, 0.0, 0.0, 0.0, 1e38, f32::NAN, f32::INFINITY]),
    }
}

fn pick(world: &World, log: &mut File, draw: &mut Draw) {
    call(world, log, draw, "pick", |call, draw| {
        let (voxels, mut reader) = (volume(world, draw), reader(draw));
        let tomogram = tomogram(world, draw, &mut reader, &voxels);
        let hooks = call.hooks(draw);
        let mut options = cinetomo_pick_options {
            sigma: draw.of(&[0.0, 0.5, 1.0, 2.0]),
            n_max: 50,
            threshold_rule: draw.below(3) as i32,
            threshold: draw.of(&[0.0, 3.0]),
            max_memory: 1 << 20,
            ..initialised(world.picker.pick_options_init)
        };
        let o = &mut options;
        draw.spoil(&mut [
            &mut o.sigma,
            &mut o.particle_diameter,
            &mut o.sigma_ratio,
            &mut o.min_distance,
            &mut o.threshold,
            &mut o.n_max,
            &mut o.border,
            &mut o.max_memory,
            &mut o.threshold_rule,
            &mut o.refine,
        ]);
        let options = Padded::new(options).size(draw, |options| &mut options.struct_size);
        let room = capacity(options.value.n_max.clamp(1, 2000) as usize, draw);
        let (mut positions, mut scores) = (Buffer::new(3 * room, -9.0), Buffer::new(room, -9.0));
        let mut n = 7;
        // SAFETY: as above.
        let status = unsafe {
            (world.picker.pick)(
                world.handle(&world.contexts, draw),
                &tomogram.value,
                &options.value,
                &hooks.value,
                positions.pointer(),
                scores.pointer(),
                room,
                &mut n,
                call.out_error(),
            )
        };
        let n_written = check_len("pick", status, room, n);
        positions.check(3 * n_written, "pick");
        scores.check(n_written, "pick");
        assert!(positions.values()[..3 * n_written].iter().all(|v| v.is_finite()), "pick");
        status
    });
}

fn extract(world: &World, log: &mut File, draw: &mut Draw) {
    let n = draw.below(4);
    let places = [0.0, 3.0, 7.4, 19.9, -3.0, 1e30, f32::NAN, f32::INFINITY, -0.0];
    let sane = [0.0, 3.0, 7.4, 5.5];
    let odd = draw.once_in(3);
    let positions: Vec<f32> =
        (0..3 * n).map(|_| if odd { draw.of(&places) } else { draw.of(&sane) }).collect();
    call(world, log, draw, "extract", |call, draw| {
        let (voxels, mut reader) = (volume(world, draw), reader(draw));
        let tomogram = tomogram(world, draw, &mut reader, &voxels);
        let hooks = call.hooks(draw);
        let mut options = cinetomo_extract_options {
            box_size: draw.of(&[2, 3, 8, 9]),
            voxel_size: draw.of(&[0.0, 0.0, 10.0, 14.0, 7.0]),
            resampling: draw.below(3) as i32,
            edge: draw.below(3) as i32,
            contrast: draw.below(3) as i32,
            ..initialised(world.picker.extract_options_init)
        };
        let o = &mut options;
        draw.spoil(&mut [
            &mut o.box_size,
            &mut o.voxel_size,
            &mut o.resampling,
            &mut o.edge,
            &mut o.contrast,
            &mut o.reserved,
        ]);
        let options = Padded::new(options).size(draw, |options| &mut options.struct_size);
        // A length that no array has, or that this one has.
        let n_stated =
            if draw.fault(3) { draw.of(&[usize::MAX, usize::MAX / 3, 1 << 61]) } else { n };
        let edge = options.value.box_size.clamp(1, 16) as usize;
        let (room, n_indices) = (capacity(n * edge.pow(3), draw), capacity(n, draw));
        let mut indices = Buffer::new(n_indices, -9i64);
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        // SAFETY: as above.
        let status = unsafe {
            (world.picker.extract)(
                world.handle(&world.contexts, draw),
                &tomogram.value,
                positions.as_ptr(),
                n_stated,
                &options.value,
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                indices.pointer(),
                n_indices,
                call.out_error(),
            )
        };
        let n_written = check_len("extract", status, room, len);
        out.check(n_written, "extract");
        indices.check(if n_written > 0 { n_indices } else { 0 }, "extract");
        assert!(out.values()[..n_written].iter().all(|value| value.is_finite()), "extract");
        status
    });
}

fn tsne(world: &World, log: &mut File, draw: &mut Draw) {
    let (mut n_features, n) = (draw.of(&[1, 2, 5]), draw.of(&[0, 1, 3, 4, 5, 12, 30]));
    let values = world.voxels[draw.below(world.voxels.len())][..n * n_features].to_vec();
    call(world, log, draw, "tsne", |call, draw| {
        let hooks = call.hooks(draw);
        let mut options = cinetomo_tsne_options {
            n_iterations: 250,
            ..initialised(world.project2d.options_init)
        };
        let o = &mut options;
        draw.spoil(&mut [&mut o.perplexity, &mut o.seed, &mut o.n_iterations, &mut o.reserved]);
        let options = Padded::new(options).size(draw, |options| &mut options.struct_size);
        draw.spoil(&mut [&mut n_features]);
        let (v, n_values) = array(&values, draw);
        let room = capacity(2 * n, draw);
        let (mut out, mut len) = (Buffer::new(room, -9.0f32), 7);
        // SAFETY: as above.
        let status = unsafe {
            (world.project2d.tsne)(
                world.handle(&world.contexts, draw),
                v,
                n_values,
                n_features,
                &options.value,
                &hooks.value,
                out.pointer(),
                room,
                &mut len,
                call.out_error(),
            )
        };
        let n_written = check_len("tsne", status, room, len);
        out.check(n_written, "tsne");
        assert!(out.values()[..n_written].iter().all(|value| value.is_finite()), "tsne");
        status
    });
}

fn separation(world: &World, log: &mut File, draw: &mut Draw) {
    let (mut n_features, n) = (draw.of(&[1, 2, 5]), draw.of(&[0, 1, 3, 12]));
    let values = world.voxels[draw.below(world.voxels.len())][..n * n_features].to_vec();
    let labels: Vec<i32> = (0..n).map(|_| draw.of(&[0, 1, 2, -1, i32::MAX])).collect();
    call(world, log, draw, "separation", |call, draw| {
        draw.spoil(&mut [&mut n_features]);
        let ((v, n_values), (l, n_labels)) = (array(&values, draw), array(&labels, draw));
        let mut out = Padded::new(initialised(world.project2d.separation_init))
            .size(draw, |out| &mut out.struct_size);
        let n_neighbors = draw.of(&[0, 1, 1, 3, 5, usize::MAX]);
        // SAFETY: as above.
        unsafe {
            (world.project2d.separation)(
                world.handle(&world.contexts, draw),
                v,
                n_values,
                n_features,
                l,
                n_labels,
                n_neighbors,
                &mut out.value,
                call.out_error(),
            )
        }
    });
}
