//! Rotations of vectors `[z, y, x]`: right-handed, active, and uniform random ones.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

/// A rotation matrix, rows and columns in the order z, y, x.
pub(super) type Rotation = [[f64; 3]; 3];

/// Which component of a vector; the axis to turn about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Axis {
    Z = 0,
    Y = 1,
    X = 2,
}

/// Turns by `angle` radians about an axis, anticlockwise seen from its positive end.
pub(super) fn about(axis: Axis, angle: f64) -> Rotation {
    let axis = axis as usize;
    // In z, y, x order the plane turns from the component before the axis to the one after it: x to y about z.
    let (from, to) = ((axis + 2) % 3, (axis + 1) % 3);
    let (sin, cos) = angle.sin_cos();
    let mut rotation = [[0.0; 3]; 3];
    rotation[axis][axis] = 1.0;
    rotation[from][from] = cos;
    rotation[from][to] = -sin;
    rotation[to][from] = sin;
    rotation[to][to] = cos;
    rotation
}

/// The rotation `Rz(e0) Ry(e1) Rz(e2)` of Euler angles in degrees: about the z axis by `e2`, then y by `e1`, then z.
pub(super) fn from_euler(euler: [f64; 3]) -> Rotation {
    let [first, second, third] = euler.map(f64::to_radians);
    multiply(&about(Axis::Z, first), &multiply(&about(Axis::Y, second), &about(Axis::Z, third)))
}

/// A rotation from the uniform distribution over all of them.
///
/// Subgroup algorithm: K. Shoemake, "Uniform random rotations", Graphics Gems III, 1992, 124-132.
pub(super) fn random(generator: &mut impl Rng) -> Rotation {
    let [u1, u2, u3]: [f64; 3] = generator.random();
    let ((sin2, cos2), (sin3, cos3)) = ((TAU * u2).sin_cos(), (TAU * u3).sin_cos());
    let (r1, r2) = ((1.0 - u1).sqrt(), u1.sqrt());
    from_quaternion([r2 * cos3, r1 * sin2, r1 * cos2, r2 * sin3])
}

/// The rotation of a unit quaternion `[w, x, y, z]`.
fn from_quaternion([w, x, y, z]: [f64; 4]) -> Rotation {
    [
        [1.0 - 2.0 * (x * x + y * y), 2.0 * (y * z + w * x), 2.0 * (x * z - w * y)],
        [2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + z * z), 2.0 * (x * y + w * z)],
        [2.0 * (x * z + w * y), 2.0 * (x * y - w * z), 1.0 - 2.0 * (y * y + z * z)],
    ]
}

/// The matrix product: `second` first, then `first`.
pub(super) fn multiply(first: &Rotation, second: &Rotation) -> Rotation {
    let mut product = [[0.0; 3]; 3];
    for (row, out) in first.iter().zip(&mut product) {
        for (column, value) in out.iter_mut().enumerate() {
            *value = (0..3).map(|k| row[k] * second[k][column]).sum();
        }
    }
    product
}

/// The rotated vector.
pub(super) fn apply(rotation: &Rotation, vector: [f64; 3]) -> [f64; 3] {
    rotation.map(|row| row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2])
}

/// The inverse rotation.
pub(super) fn inverse(rotation: &Rotation) -> Rotation {
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| rotation[column][row]))
}

#[cfg(test)]
#[path = "rotation_test.rs"]
mod tests;
