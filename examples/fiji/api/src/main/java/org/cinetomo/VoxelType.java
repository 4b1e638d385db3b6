package org.cinetomo;

/** Type of a voxel. The order is that of the numbers in cinetomo.h. */
public enum VoxelType {
    /** IEEE 754 binary32. */
    F32(4),
    /** IEEE 754 binary16. */
    F16(2),
    /** Unsigned byte. */
    U8(1),
    /** Signed byte. */
    I8(1),
    /** Unsigned 16-bit integer. */
    U16(2),
    /** Signed 16-bit integer. */
    I16(2);

    private final int bytes;

    VoxelType(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of a voxel. */
    public int bytes() {
        return bytes;
    }
}
