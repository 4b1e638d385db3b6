package org.cinetomo.imagej;

import ij.ImagePlus;
import ij.gui.ImageRoi;
import ij.gui.Overlay;
import ij.gui.PointRoi;
import ij.gui.Roi;
import ij.plugin.frame.RoiManager;
import ij.util.Tools;
import java.awt.GraphicsEnvironment;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** Which particle is of which class: its class's name for each, null for those without label. */
final class Labels {
    private final String[] names;

    private Labels(int nParticles) {
        names = new String[nParticles];
    }

    /**
     * From a table: a column {@code particle} (1 = the first frame) and a column {@code class} or {@code label}. Empty
     * classes and particles that are not listed have no label. A table without column {@code particle} has a row for each.
     */
    static Labels fromTable(Path file, int nParticles) throws IOException {
        TextTable table = new TextTable(file);
        int classColumn = table.column("class", "label");
        if (classColumn < 0) {
            throw new IOException(file + " has no column class or label, but " + String.join(", ", table.header()));
        }
        int particleColumn = table.column("particle");
        if (particleColumn < 0 && table.size() != nParticles) {
            throw new IOException(
                    file + " has " + table.size() + " rows for " + nParticles
                            + " particles, and no column particle that says which");
        }
        Labels labels = new Labels(nParticles);
        for (int row = 0; row < table.size(); row++) {
            String name = table.get(row, classColumn);
            if (name.isEmpty()) {
                continue;
            }
            String number = particleColumn < 0 ? Integer.toString(row + 1) : table.get(row, particleColumn);
            double particle = Tools.parseDouble(number);
            if (!(particle >= 1 && particle <= nParticles) || particle != (int) particle) {
                throw new IOException(
                        table.where(row) + ": particle is \"" + number + "\"; there are particles 1 to " + nParticles);
            }
            labels.set((int) particle - 1, name, table.where(row));
        }
        return labels;
    }

    /**
     * From regions: those of the ROI Manager, the image's overlay and its selection. Each marks the particle (T) that it
     * lies on, each point of a point selection its own, for the class that is the name of the region's group or, without
     * group, of the region ("ribosome-1" and "ribosome-2" are of class ribosome).
     */
    static Labels fromRois(ImagePlus image, Particles particles) {
        Labels labels = new Labels(particles.n);
        for (Roi roi : rois(image)) {
            String name = className(roi);
            if (roi instanceof PointRoi) {
                PointRoi points = (PointRoi) roi;
                for (int point = 0; point < points.size(); point++) {
                    labels.mark(image, particles, points.getPointPosition(point), points, name);
                }
            } else {
                labels.mark(image, particles, 0, roi, name);
            }
        }
        return labels;
    }

    private static List<Roi> rois(ImagePlus image) {
        List<Roi> rois = new ArrayList<>();
        // Without a display there is none, and asking for it would make one.
        RoiManager manager =
                GraphicsEnvironment.isHeadless() ? RoiManager.getRawInstance() : RoiManager.getInstance2();
        if (manager != null) {
            rois.addAll(Arrays.asList(manager.getRoisAsArray()));
        }
        Overlay overlay = image.getOverlay();
        if (overlay != null) {
            rois.addAll(Arrays.asList(overlay.toArray()));
        }
        // A heat map is no label.
        rois.removeIf(roi -> roi instanceof ImageRoi);
        if (image.getRoi() != null) {
            rois.add(image.getRoi());
        }
        if (rois.isEmpty()) {
            throw new IllegalArgumentException(
                    "there are no regions: add one for each labelled particle to the ROI Manager, named as its class");
        }
        return rois;
    }

    private static String className(Roi roi) {
        if (roi.getGroup() > 0) {
            String group = Roi.getGroupName(roi.getGroup());
            return group == null ? "group " + roi.getGroup() : group;
        }
        String name = roi.getName();
        if (name == null || name.trim().isEmpty()) {
            throw new IllegalArgumentException(
                    "a region has neither name nor group; its class is unknown: rename it (Edit > Selection > Properties)");
        }
        // What the ROI Manager appends to tell regions of one name apart.
        return name.trim().replaceFirst("-\\d+$", "");
    }

    /** Labels the particle that a region, or a point of it that has its own slice, lies on. */
    private void mark(ImagePlus image, Particles particles, int slice, Roi roi, String name) {
        int particle;
        if (slice > 0) {
            particle = particles.particleOfSlice(slice);
        } else if (roi.getTPosition() > 0) {
            particle = roi.getTPosition() - 1;
        } else if (roi.getPosition() > 0) {
            particle = particles.particleOfSlice(roi.getPosition());
        } else if (roi == image.getRoi()) {
            particle = particles.particleOfSlice(image.getCurrentSlice());
        } else {
            throw new IllegalArgumentException(
                    "region " + roi.getName() + " lies on no particle: go to the particle's frame and add it there");
        }
        if (particle >= particles.n) {
            throw new IllegalArgumentException(
                    "region " + roi.getName() + " lies on particle " + (particle + 1) + " of " + particles.n);
        }
        set(particle, name, "region " + roi.getName());
    }

    private void set(int particle, String name, String where) {
        if (names[particle] != null && !names[particle].equals(name)) {
            throw new IllegalArgumentException(
                    where + ": particle " + (particle + 1) + " is of class " + names[particle] + " and " + name);
        }
        names[particle] = name;
    }

    /** The particles, counted from 0, that have a label. */
    int[] labelled() {
        int[] particles = new int[names.length];
        int n = 0;
        for (int particle = 0; particle < names.length; particle++) {
            if (names[particle] != null) {
                particles[n++] = particle;
            }
        }
        return Arrays.copyOf(particles, n);
    }

    /** The names in order: numbers by value, texts by letters. */
    String[] classNames() {
        Comparator<String> order = Comparator.comparingInt(String::length);
        boolean numbers = Arrays.stream(names).allMatch(name -> name == null || name.matches("\\d+"));
        order = numbers ? order.thenComparing(Comparator.naturalOrder()) : Comparator.naturalOrder();
        return Arrays.stream(names).filter(name -> name != null).distinct().sorted(order).toArray(String[]::new);
    }

    /** The class of each of these particles as an index into {@code classNames}. */
    int[] indices(int[] particles, String[] classNames) {
        int[] indices = new int[particles.length];
        for (int i = 0; i < particles.length; i++) {
            String name = names[particles[i]];
            indices[i] = Arrays.asList(classNames).indexOf(name);
            if (indices[i] < 0) {
                throw new IllegalArgumentException(
                        "particle " + (particles[i] + 1) + " is of class " + name + "; the model's are "
                                + String.join(", ", classNames));
            }
        }
        return indices;
    }
}
