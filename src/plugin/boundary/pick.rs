//! Extension `cinetomo.pick/1`.

use std::ptr;

use cinetomo_abi::{
    cinetomo_context, cinetomo_contrast as Contrast, cinetomo_error, cinetomo_extract_options,
    cinetomo_hooks, cinetomo_pick_api, cinetomo_pick_options, cinetomo_tomogram,
};

use super::{
    context::CONTEXTS,
    exit,
    guard::boundary,
    hooks,
    read::{self, sized_struct},
    volume,
    write::{self, OutArray, OutBuffer},
};
use crate::{
    allocation::collected,
    error::{Error, ErrorKind, Result},
    pick::{
        self, Edge, ExtractOptions, Extraction, PickOptions, Picking, Region, Resampling,
        ThresholdRule, Tomogram,
    },
};

sized_struct!(
    cinetomo_tomogram,
    72,
    cinetomo_tomogram {
        struct_size: size_of::<cinetomo_tomogram>(),
        voxels: ptr::null(),
        read: None,
        user_data: ptr::null_mut(),
        shape: [0; 3],
        voxel_size: 0.0,
        contrast: Contrast::Unknown as i32,
        reserved: 0,
    }
);

sized_struct!(cinetomo_pick_options, 80, {
    let options = PickOptions::default();
    cinetomo_pick_options {
        struct_size: size_of::<cinetomo_pick_options>(),
        sigma: options.sigma,
        particle_diameter: options.particle_diameter,
        sigma_ratio: options.sigma_ratio,
        min_distance: options.min_distance,
        threshold: options.threshold,
        n_max: options.n_max,
        border: options.border,
        max_memory: options.max_memory,
        threshold_rule: options.threshold_rule as i32,
        refine: i32::from(options.refine),
    }
});

sized_struct!(cinetomo_extract_options, 40, {
    let options = ExtractOptions::default();
    cinetomo_extract_options {
        struct_size: size_of::<cinetomo_extract_options>(),
        box_size: options.box_size,
        voxel_size: options.voxel_size,
        resampling: options.resampling as i32,
        edge: options.edge as i32,
        contrast: options.contrast as i32,
        reserved: 0,
    }
});

pub(super) static API: cinetomo_pick_api = cinetomo_pick_api {
    struct_size: size_of::<cinetomo_pick_api>(),
    tomogram_init,
    pick_options_init,
    pick,
    extract_options_init,
    extract,
};

unsafe extern "C" fn tomogram_init(
    out_tomogram: *mut cinetomo_tomogram,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_tomogram, struct_size)) }
}

unsafe extern "C" fn pick_options_init(
    out_options: *mut cinetomo_pick_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

unsafe extern "C" fn extract_options_init(
    out_options: *mut cinetomo_extract_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

unsafe extern "C" fn pick(
    context: *const cinetomo_context,
    tomogram: *const cinetomo_tomogram,
    options: *const cinetomo_pick_options,
    hooks: *const cinetomo_hooks,
    out_positions: *mut f32,
    out_scores: *mut f32,
    capacity: usize,
    out_n: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            if out_n.is_null() {
                return Err(read::null_argument("out_n"));
            }
            let scores = OutBuffer::new(out_scores, capacity, out_n, "out_scores")?;
            let n_positions = capacity.checked_mul(3).ok_or_else(|| {
                Error::invalid(format!("capacity is {capacity}; that many do not fit into memory"))
            })?;
            let positions = OutArray::new(out_positions, n_positions, "out_positions")?;
            let context = CONTEXTS.get(context, "context")?;
            let mut tomogram = self::tomogram(tomogram)?;
            let options = picking(&read::sized_or_default(options, "options")?)?;
            let picking = Picking::new(options, tomogram.voxel_size())?;
            let mut monitor = hooks::monitor(hooks, &context)?;
            // The count is bounded before it is known, and the caller has to make room for the bound.
            if scores.wants(picking.options().n_max as usize)? {
                context.enter();
                let (device, n_threads) = (context.device, context.n_threads());
                let peaks = pick::pick(&mut tomogram, &picking, device, n_threads, &mut monitor)?;
                positions.write(peaks.iter().flat_map(pick::Peak::position));
                scores.write(&collected(peaks.iter().map(|peak| peak.score))?);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn extract(
    context: *const cinetomo_context,
    tomogram: *const cinetomo_tomogram,
    positions: *const f32,
    n_positions: usize,
    options: *const cinetomo_extract_options,
    hooks: *const cinetomo_hooks,
    out_voxels: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_indices: *mut i64,
    index_capacity: usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_voxels, capacity, out_len, "out_voxels")?;
            let indices = OutArray::new(out_indices, index_capacity, "out_indices")?;
            let context = CONTEXTS.get(context, "context")?;
            let mut tomogram = self::tomogram(tomogram)?;
            let too_many = || {
                Error::invalid(format!(
                    "n_positions is {n_positions}; that many do not fit into memory"
                ))
            };
            let n_coordinates = n_positions.checked_mul(3).ok_or_else(too_many)?;
            let positions = read::slice(positions, n_coordinates, "positions")?;
            let (positions, _) = positions.as_chunks::<3>();
            let options = extraction(&read::sized_or_default(options, "options")?)?;
            let extraction = Extraction::new(options, tomogram.voxel_size(), tomogram.contrast())?;
            let mut monitor = hooks::monitor(hooks, &context)?;
            let kept = pick::kept(positions, tomogram.shape(), &extraction)?;
            let n_voxels = (extraction.options().box_size as usize).pow(3);
            let n_voxels = n_voxels.checked_mul(kept.len()).ok_or_else(too_many)?;
            if out.wants(n_voxels)? {
                indices.check(n_positions)?;
                context.enter();
                let positions = collected(kept.iter().map(|&index| positions[index]))?;
                let n_threads = context.n_threads();
                let boxes =
                    pick::extract(&mut tomogram, &positions, &extraction, n_threads, &mut monitor)?;
                indices.write(kept.iter().map(|&index| index as i64));
                out.write(&boxes.voxels);
            }
            Ok(())
        })
    }
}

/// The caller's tomogram, in memory or behind a callback.
///
/// # Safety
/// `pointer` is NULL or a valid `cinetomo_tomogram`, whose data, or callback and user data, may be used for `'a`.
unsafe fn tomogram<'a>(pointer: *const cinetomo_tomogram) -> Result<Tomogram<'a>> {
    // SAFETY: passed on from the caller.
    let host = unsafe { read::sized(pointer, "tomogram") }?;
    read::check_reserved(host.reserved, "tomogram")?;
    let Some(read) = host.read else {
        if host.voxels.is_null() {
            return Err(Error::new(
                ErrorKind::NullArgument,
                "tomogram.voxels and tomogram.read are NULL; one of them must be set",
            ));
        }
        if host.shape != [0; 3] || host.voxel_size != 0.0 || host.contrast != 0 {
            return Err(Error::invalid(
                "tomogram: shape, voxel_size or contrast is set beside voxels, which have their own",
            ));
        }
        // SAFETY: passed on from the caller.
        return unsafe { volume::tomogram(host.voxels, "tomogram.voxels") };
    };
    if !host.voxels.is_null() {
        return Err(Error::invalid(
            "tomogram.voxels and tomogram.read are both set; set one of them",
        ));
    }
    let contrast = volume::contrast(host.contrast, "tomogram.contrast")?;
    let fetch = move |region: &Region, out: &mut [f32]| {
        let [z0, y0, x0] = region.start;
        let [nz, ny, nx] = region.extent;
        // SAFETY: the host's own function, called as it declared it, on the thread that made the call; `out` has room
        // for as many voxels as are asked for.
        let answer = exit::aside(|| unsafe {
            read(host.user_data, z0, y0, x0, nz, ny, nx, out.as_mut_ptr())
        });
        if answer == 0 {
            return Ok(());
        }
        let message = format!(
            "tomogram.read returned {answer} for {nz} x {ny} x {nx} voxels from z={z0}, y={y0}, x={x0}"
        );
        Err(Error::new(ErrorKind::Io, message))
    };
    Tomogram::new(host.shape, host.voxel_size, contrast, fetch)
        .map_err(|error| error.within("tomogram"))
}

fn picking(options: &cinetomo_pick_options) -> Result<PickOptions> {
    let rules = [ThresholdRule::PeakRange, ThresholdRule::Deviations, ThresholdRule::Score];
    Ok(PickOptions {
        sigma: options.sigma,
        particle_diameter: options.particle_diameter,
        sigma_ratio: options.sigma_ratio,
        min_distance: options.min_distance,
        threshold: options.threshold,
        threshold_rule: read::choice(
            options.threshold_rule,
            &rules.map(|rule| (rule as i32, rule)),
            "options.threshold_rule",
        )?,
        n_max: options.n_max,
        border: options.border,
        refine: read::choice(options.refine, &[(0, false), (1, true)], "options.refine")?,
        max_memory: options.max_memory,
    })
}

fn extraction(options: &cinetomo_extract_options) -> Result<ExtractOptions> {
    read::check_reserved(options.reserved, "options")?;
    let kinds = [Resampling::Fourier, Resampling::Linear, Resampling::Nearest];
    let edges = [Edge::Pad, Edge::Skip, Edge::Fail];
    Ok(ExtractOptions {
        box_size: options.box_size,
        voxel_size: options.voxel_size,
        resampling: read::choice(
            options.resampling,
            &kinds.map(|kind| (kind as i32, kind)),
            "options.resampling",
        )?,
        edge: read::choice(options.edge, &edges.map(|edge| (edge as i32, edge)), "options.edge")?,
        contrast: volume::contrast(options.contrast, "options.contrast")?,
    })
}
