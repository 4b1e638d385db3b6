package org.cinetomo.imagej;

import ij.ImagePlus;
import ij.ImageStack;
import ij.gui.Roi;
import ij.measure.Calibration;
import java.nio.ByteBuffer;
import java.util.Locale;
import org.cinetomo.Subtomograms;
import org.cinetomo.VoxelType;

/**
 * The subtomograms of an image: boxes of n particles. In a hyperstack each frame (T) is a particle and its slices (Z) are
 * the box; in a plain stack, boxes of a stated depth follow each other.
 *
 * <p>A voxel's value is what ImageJ shows for it. Bytes and 16-bit integers are unsigned in ImageJ; signed 16-bit files are
 * kept with 32768 added and a calibration that takes it off again, and other calibrations are applied alike.
 */
final class Particles {
    final int n;
    final int depth;
    final int height;
    final int width;
    private final ImagePlus image;
    private final boolean plainStack;
    private final boolean flipRows;

    /**
     * @param boxDepth slices of a box in a plain stack; 0 = as the hyperstack says
     * @param flipRows whether to read rows from the last to the first: Bio-Formats reverses the rows of MRC files, which
     *     mirrors the particles
     */
    Particles(ImagePlus image, int boxDepth, boolean flipRows) {
        this.image = image;
        this.flipRows = flipRows;
        width = image.getWidth();
        height = image.getHeight();
        plainStack = boxDepth > 0;
        if (image.getType() == ImagePlus.COLOR_RGB) {
            throw new IllegalArgumentException("the image is RGB; subtomograms are grey: Image > Type > 32-bit");
        }
        int slices = image.getStackSize();
        if (boxDepth < 0 || plainStack && slices % boxDepth != 0) {
            throw new IllegalArgumentException(
                    "Box depth is " + boxDepth + ", which does not divide the stack's " + slices + " slices");
        }
        if (plainStack) {
            depth = boxDepth;
            n = slices / boxDepth;
            return;
        }
        depth = image.getNSlices();
        n = image.getNFrames();
        if (image.getNChannels() != 1) {
            throw new IllegalArgumentException(
                    "the image has " + image.getNChannels() + " channels; subtomograms have one: particles are frames (T). "
                            + "Image > Hyperstacks > Re-order Hyperstack, or state the box depth");
        }
        if (depth == 1) {
            throw new IllegalArgumentException(
                    "the image has one slice a frame, and subtomograms are volumes: state the box depth, or say with "
                            + "Image > Properties how many slices (Z) and frames (T, particles) the stack has");
        }
        if (n == 1 && depth > width && depth % width == 0) {
            throw new IllegalArgumentException(
                    "the stack is " + width + " x " + height + " x " + depth + " and has one frame: if it holds "
                            + depth / width + " boxes, state the box depth " + width + "; if it is one box, " + depth);
        }
    }

    /** The particle, counted from 0, that a slice of the stack, counted from 1, belongs to. */
    int particleOfSlice(int slice) {
        return plainStack ? (slice - 1) / depth : image.convertIndexToPosition(slice)[2] - 1;
    }

    long voxelsPerBox() {
        return (long) depth * height * width;
    }

    /** A copy of the boxes of these particles, counted from 0. */
    Subtomograms read(int[] particles) {
        Calibration calibration = image.getCalibration();
        boolean signed = image.getBitDepth() == 16 && calibration.isSigned16Bit();
        float[] table = calibration.calibrated() && !signed ? calibration.getCTable() : null;
        VoxelType type = type(signed, table);
        ByteBuffer voxels = Subtomograms.allocate(type, voxelsPerBox() * particles.length);
        ImageStack stack = image.getStack();
        for (int particle : particles) {
            for (int z = 0; z < depth; z++) {
                Object pixels = stack.getPixels(sliceIndex(particle, z));
                for (int row = 0; row < height; row++) {
                    int start = (flipRows ? height - 1 - row : row) * width;
                    put(voxels, pixels, start, signed, table);
                }
            }
        }
        voxels.rewind();
        return new Subtomograms(voxels, type, particles.length, depth, height, width);
    }

    private int sliceIndex(int particle, int z) {
        return plainStack ? particle * depth + z + 1 : image.getStackIndex(1, z + 1, particle + 1);
    }

    /** A slice of a map over a box, in the image's order of rows. */
    float[] slice(float[] map, int z) {
        float[] slice = new float[width * height];
        for (int row = 0; row < height; row++) {
            int line = flipRows ? height - 1 - row : row;
            System.arraycopy(map, (z * height + row) * width, slice, line * width, width);
        }
        return slice;
    }

    /** Puts an element of an overlay on a slice of a particle. */
    void place(Roi roi, int particle, int z) {
        if (plainStack) {
            roi.setPosition(sliceIndex(particle, z));
        } else {
            roi.setPosition(1, z + 1, particle + 1);
        }
    }

    private VoxelType type(boolean signed, float[] table) {
        if (table != null || image.getBitDepth() == 32) {
            return VoxelType.F32;
        }
        if (image.getBitDepth() == 8) {
            return VoxelType.U8;
        }
        return signed ? VoxelType.I16 : VoxelType.U16;
    }

    /** Appends a row. */
    private void put(ByteBuffer voxels, Object pixels, int start, boolean signed, float[] table) {
        int end = start + width;
        if (pixels instanceof float[]) {
            float[] values = (float[]) pixels;
            for (int i = start; i < end; i++) {
                voxels.putFloat(values[i]);
            }
        } else if (pixels instanceof short[]) {
            short[] values = (short[]) pixels;
            for (int i = start; i < end; i++) {
                if (table != null) {
                    voxels.putFloat(table[values[i] & 0xffff]);
                } else {
                    voxels.putShort(signed ? (short) (values[i] ^ 0x8000) : values[i]);
                }
            }
        } else {
            byte[] values = (byte[]) pixels;
            if (table == null) {
                voxels.put(values, start, width);
                return;
            }
            for (int i = start; i < end; i++) {
                voxels.putFloat(table[values[i] & 0xff]);
            }
        }
    }

    /** Edge of the image's voxels in angstrom; 0 where its unit is no length that is known, or voxels are no cubes. */
    static double voxelSize(ImagePlus image) {
        Calibration calibration = image.getCalibration();
        double edge = calibration.pixelWidth;
        double tolerance = 0.01 * edge;
        boolean cube =
                Math.abs(calibration.pixelHeight - edge) <= tolerance
                        && Math.abs(calibration.pixelDepth - edge) <= tolerance;
        return cube ? edge * angstrom(calibration.getUnit()) : 0;
    }

    private static double angstrom(String unit) {
        switch (unit.trim().toLowerCase(Locale.ROOT)) {
            case "\u00e5": // both letters that Unicode has for it, in lower case
            case "a":
            case "angstrom":
            case "angstroms":
                return 1;
            case "nm":
            case "nanometer":
            case "nanometers":
                return 10;
            case "\u00b5m": // micro sign
            case "\u03bcm": // Greek letter
            case "um":
            case "micron":
            case "microns":
                return 1e4;
            default:
                return 0;
        }
    }
}
