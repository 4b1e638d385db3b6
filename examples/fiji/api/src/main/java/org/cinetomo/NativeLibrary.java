package org.cinetomo;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.List;

/**
 * Finds and loads libcinetomo_jni.so: the file that the system property {@code cinetomo.jni} names, or else the one in
 * {@code lib/<platform>} of the ImageJ or Fiji folder that this jar lies in, or else the one along
 * {@code java.library.path}.
 */
final class NativeLibrary {
    private static final String NAME = "cinetomo_jni";

    private NativeLibrary() {}

    static void load() {
        String property = System.getProperty("cinetomo.jni");
        if (property != null) {
            load(Paths.get(property).toAbsolutePath());
            return;
        }
        List<Path> places = besideJar();
        for (Path place : places) {
            if (Files.exists(place)) {
                load(place);
                return;
            }
        }
        try {
            System.loadLibrary(NAME);
        } catch (UnsatisfiedLinkError error) {
            throw new UnsatisfiedLinkError(
                    "cinetomo's native library was not found: none of " + places + " is there, and " + error.getMessage()
                            + ". Install it with `make fiji`, or name it with -Dcinetomo.jni=FILE");
        }
    }

    /** The JVM gives a file to one class loader; ImageJ makes a new one to refresh its menus: that gets a copy. */
    private static void load(Path library) {
        try {
            System.load(library.toString());
        } catch (UnsatisfiedLinkError first) {
            if (!Files.exists(library)) {
                throw first;
            }
            loadCopy(library, first);
        }
    }

    private static void loadCopy(Path library, UnsatisfiedLinkError first) {
        try {
            Path copy = Files.createTempFile(NAME, ".so");
            try {
                Files.copy(library, copy, StandardCopyOption.REPLACE_EXISTING);
                System.load(copy.toString());
            } finally {
                Files.delete(copy);
            }
        } catch (IOException | UnsatisfiedLinkError second) {
            first.addSuppressed(second);
            throw first;
        }
    }

    private static List<Path> besideJar() {
        List<Path> places = new ArrayList<>();
        CodeSource source = NativeLibrary.class.getProtectionDomain().getCodeSource();
        if (source == null) {
            return places;
        }
        try {
            String file = System.mapLibraryName(NAME);
            // The jar lies in jars, plugins or a folder in one of them.
            Path folder = Paths.get(source.getLocation().toURI()).getParent();
            for (int level = 0; level < 3 && folder != null; level++) {
                folder = folder.getParent();
                if (folder != null) {
                    places.add(folder.resolve("lib").resolve(platform()).resolve(file));
                }
            }
        } catch (URISyntaxException | IllegalArgumentException error) {
            // Not a file: there is no folder beside it.
            return places;
        }
        return places;
    }

    /** The name that Fiji's updater has for this machine. */
    private static String platform() {
        return System.getProperty("os.arch").equals("aarch64") ? "linux-arm64" : "linux64";
    }
}
