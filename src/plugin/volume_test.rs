use super::*;

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.reshape([-1])).unwrap()
}

fn volume(view: Tensor, dtype: Dtype, beam_axis: Axis) -> Result<Volume<'static>> {
    Volume::from_view(view, dtype, 10.0, Contrast::Dark, beam_axis)
}

/// A batch of `n` boxes of 2 x 3 x 4 voxels that are all different.
fn ramp(n: i64) -> Tensor {
    Tensor::arange(n * 24, (Kind::Float, Device::Cpu)).reshape([n, 2, 3, 4])
}

#[test]
fn boxes_come_in_the_order_asked_for() {
    let volume = volume(ramp(5), Dtype::F32, Axis::Z).unwrap();
    assert_eq!((volume.len(), volume.box_size()), (5, [2, 3, 4]));
    let boxes = volume.gather(&[3, 0, 3], Device::Cpu).unwrap();
    assert_eq!(boxes.size(), [3, 1, 2, 3, 4]);
    let expected: Vec<f32> =
        [3, 0, 3].iter().flat_map(|index| (0..24).map(move |i| (index * 24 + i) as f32)).collect();
    assert_eq!(values(&boxes), expected);
}

#[test]
fn the_beam_axis_comes_first() {
    // Voxel (z, y, x) of box 0 has the value 12 z + 4 y + x.
    for (axis, size, second, last_but_one) in [
        (Axis::Z, [2, 3, 4], 1.0, 22.0),
        (Axis::Y, [3, 2, 4], 1.0, 22.0),
        // Beam along x: the fastest axis of the network is y.
        (Axis::X, [4, 2, 3], 4.0, 19.0),
    ] {
        let volume = volume(ramp(1), Dtype::F32, axis).unwrap();
        assert_eq!(volume.box_size(), size);
        let boxes = volume.gather(&[0], Device::Cpu).unwrap();
        assert_eq!(boxes.size()[2..], size);
        let values = values(&boxes);
        assert_eq!([values[1], values[22]], [second, last_but_one], "{axis:?}");
    }
}

#[test]
fn strides_are_followed() {
    // Every other voxel along x of a wider buffer, and one box repeated by a stride of 0.
    let wide = Tensor::arange(2 * 3 * 8, (Kind::Float, Device::Cpu));
    let view = wide.as_strided([3, 2, 3, 4], [0, 24, 8, 2], 0);
    let volume = volume(view, Dtype::F32, Axis::Z).unwrap();
    let boxes = volume.gather(&[2], Device::Cpu).unwrap();
    let expected: Vec<f32> = (0..24).map(|i| (i * 2) as f32).collect();
    assert_eq!(values(&boxes), expected);
}

#[test]
fn every_type_is_read_exactly() {
    let shape = [1, 1, 1, 4];
    let cases: [(Tensor, Dtype, [f32; 4]); 6] = [
        (Tensor::from_slice(&[-1.5f32, 0.0, 1e30, 3.0]), Dtype::F32, [-1.5, 0.0, 1e30, 3.0]),
        // Half of 65504, the largest f16, and the smallest subnormal one, 2^-24.
        (
            Tensor::from_slice(&[-32752.0f32, 2f32.powi(-24), 0.333_251_95, 65504.0])
                .to_kind(Kind::Half),
            Dtype::F16,
            [-32752.0, 2f32.powi(-24), 0.333_251_95, 65504.0],
        ),
        (Tensor::from_slice(&[0u8, 127, 128, 255]), Dtype::U8, [0.0, 127.0, 128.0, 255.0]),
        (Tensor::from_slice(&[-128i8, -1, 0, 127]), Dtype::I8, [-128.0, -1.0, 0.0, 127.0]),
        // 0, 32767, 32768 and 65535 as the i16 of the same bits.
        (
            Tensor::from_slice(&[0i16, 32767, -32768, -1]),
            Dtype::U16,
            [0.0, 32767.0, 32768.0, 65535.0],
        ),
        (
            Tensor::from_slice(&[0i16, 32767, -32768, -1]),
            Dtype::I16,
            [0.0, 32767.0, -32768.0, -1.0],
        ),
    ];
    for (view, dtype, expected) in cases {
        let volume = volume(view.reshape(shape), dtype, Axis::Z).unwrap();
        let boxes = volume.gather(&[0], Device::Cpu).unwrap();
        assert_eq!(boxes.kind(), Kind::Float);
        assert_eq!(values(&boxes), expected, "{dtype:?}");
    }
}

/// What the host does to its buffer later does not reach boxes taken before.
#[test]
fn boxes_are_copies() {
    let mut buffer = ramp(1);
    let volume = volume(buffer.shallow_clone(), Dtype::F32, Axis::Z).unwrap();
    let boxes = volume.gather(&[0], Device::Cpu).unwrap();
    let _ = buffer.fill_(7.0);
    assert_eq!(values(&boxes)[23], 23.0);
}

#[test]
fn values_that_are_not_finite_are_found() {
    for (axis, value) in
        [(Axis::Z, f32::NAN), (Axis::Y, f32::INFINITY), (Axis::X, f32::NEG_INFINITY)]
    {
        let view = ramp(4);
        // Box 2 at z=1, y=2, x=0 and two later places.
        for (z, y, x) in [(1, 2, 0), (1, 2, 1), (1, 2, 3)] {
            let _ =
                view.select(0, 2).select(0, z).select(0, y).select(0, x).fill_(f64::from(value));
        }
        let volume = volume(view.shallow_clone(), Dtype::F32, axis).unwrap();
        let _ = volume.gather(&[0, 1, 3], Device::Cpu).unwrap();
        let error = volume.gather(&[3, 2], Device::Cpu).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        assert_eq!(
            error.to_string(),
            "box 2: 3 voxels are NaN or infinite, the first at z=1, y=2, x=0"
        );
        let _ = view.select(0, 2).narrow(2, 0, 2).fill_(1.0);
        let error = volume.gather(&[2], Device::Cpu).unwrap_err();
        assert_eq!(
            error.to_string(),
            "box 2: 1 voxel is NaN or infinite, the first at z=1, y=2, x=3"
        );
    }
}

#[test]
fn a_constant_box_is_named() {
    let view = ramp(4);
    let _ = view.select(0, 1).fill_(0.5);
    let volume = volume(view, Dtype::F32, Axis::Z).unwrap();
    let error = volume.gather(&[0, 1], Device::Cpu).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        error.to_string(),
        "box 1: standard deviation is 0 (every voxel is 0.5); a subtomogram must not be constant"
    );
}

#[test]
fn senseless_volumes_are_refused() {
    let refused = |view: Tensor, dtype, voxel_size| {
        let error = Volume::from_view(view, dtype, voxel_size, Contrast::Unknown, Axis::Z)
            .expect_err("must be refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    };
    refused(ramp(1).squeeze_dim(0), Dtype::F32, 1.0);
    refused(ramp(1).unsqueeze(0), Dtype::F32, 1.0);
    refused(ramp(1).narrow(2, 0, 0), Dtype::F32, 1.0);
    refused(ramp(1).narrow(0, 0, 0), Dtype::F32, 1.0);
    refused(ramp(1), Dtype::I16, 1.0);
    refused(ramp(1), Dtype::F16, 1.0);
    for voxel_size in [-1.0, f64::NAN, f64::INFINITY] {
        refused(ramp(1), Dtype::F32, voxel_size);
    }
    assert!(Volume::from_slice(&[1.0; 23], [1, 2, 3, 4]).is_err());
    assert!(Volume::from_slice(&[], [0, 2, 3, 4]).is_err());
    assert!(Volume::from_slice(&[1.0], [i64::MAX, i64::MAX, 1, 1]).is_err());
    assert!(Volume::from_slice(&[1.0; 6], [1, -2, -3, 1]).is_err());
    let volume = volume(ramp(2), Dtype::F32, Axis::Z).unwrap();
    let error = volume.gather(&[0, 2], Device::Cpu).unwrap_err();
    assert_eq!(error.to_string(), "box 2: the volume has 2 subtomograms");
}
