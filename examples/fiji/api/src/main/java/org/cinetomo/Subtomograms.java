package org.cinetomo;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * A batch of subtomograms in a direct buffer: voxels of n boxes, x fastest, then y, then z. The voxels are not copied;
 * nobody may write to them while a call uses them.
 */
public final class Subtomograms {
    // The native side reads these fields by name.
    final ByteBuffer voxels;
    final long[] shape;
    final int dtype;
    private final double voxelSize;
    private final int contrast;
    private final int beamAxis;

    /**
     * Voxels between the buffer's position and its limit, of unknown size and contrast, with the beam along z.
     *
     * @param voxels a direct buffer in the machine's byte order
     */
    public Subtomograms(ByteBuffer voxels, VoxelType type, int n, int z, int y, int x) {
        this(slice(voxels, type), type.ordinal(), new long[] {n, z, y, x}, 0, Contrast.UNKNOWN, Axis.Z);
    }

    private Subtomograms(
            ByteBuffer voxels, int dtype, long[] shape, double voxelSize, Contrast contrast, Axis beamAxis) {
        this.voxels = voxels;
        this.dtype = dtype;
        this.shape = shape;
        this.voxelSize = voxelSize;
        this.contrast = contrast.ordinal();
        this.beamAxis = beamAxis.ordinal();
    }

    /** A copy of voxels that lie in an array. */
    public static Subtomograms copyOf(float[] voxels, int n, int z, int y, int x) {
        ByteBuffer buffer = allocate(VoxelType.F32, voxels.length);
        buffer.asFloatBuffer().put(voxels);
        return new Subtomograms(buffer, VoxelType.F32, n, z, y, x);
    }

    /** A direct buffer for so many voxels, in the machine's byte order. */
    public static ByteBuffer allocate(VoxelType type, long nVoxels) {
        long bytes = Math.multiplyExact(nVoxels, type.bytes());
        if (bytes > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    nVoxels + " voxels take " + bytes + " bytes; a buffer of Java has at most " + Integer.MAX_VALUE
                            + ": use several");
        }
        return ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.nativeOrder());
    }

    /** The same voxels, with an edge of that many angstrom; 0 = unknown. */
    public Subtomograms voxelSize(double angstrom) {
        return new Subtomograms(voxels, dtype, shape, angstrom, contrast(), beamAxis());
    }

    /** The same voxels, with particles of that sign. */
    public Subtomograms contrast(Contrast sign) {
        return new Subtomograms(voxels, dtype, shape, voxelSize, sign, beamAxis());
    }

    /** The same voxels, with the electron beam along that axis. */
    public Subtomograms beamAxis(Axis axis) {
        return new Subtomograms(voxels, dtype, shape, voxelSize, contrast(), axis);
    }

    private Contrast contrast() {
        return Contrast.of(contrast);
    }

    private Axis beamAxis() {
        return Axis.values()[beamAxis];
    }

    private static ByteBuffer slice(ByteBuffer voxels, VoxelType type) {
        Objects.requireNonNull(voxels, "voxels");
        Objects.requireNonNull(type, "type");
        if (!voxels.isDirect()) {
            throw new IllegalArgumentException("voxels must lie in a direct buffer: ByteBuffer.allocateDirect");
        }
        if (type.bytes() > 1 && voxels.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException(
                    "voxels are in byte order " + voxels.order() + "; they must be in " + ByteOrder.nativeOrder()
                            + ": set the buffer's order before filling it");
        }
        return voxels.slice();
    }
}
