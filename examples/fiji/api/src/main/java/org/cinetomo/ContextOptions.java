package org.cinetomo;

import java.nio.file.Path;

/** Which plugin, device, threads and log a {@link Cinetomo} has. */
public final class ContextOptions {
    /** The plugin's manifest, or a folder of manifests; null = along the search path of plugin-manifest/README.md. */
    public Path plugin;
    /** Where work runs. */
    public Device device = Device.AUTO;
    /** Which GPU, counted from 0. */
    public int deviceIndex;
    /** CPU threads of a call; 0 = one per core. */
    public int nThreads;
    /** Which log lines {@link #log} receives. */
    public LogLevel logLevel = LogLevel.WARN;
    /** Receives log lines; null = nobody. */
    public LogListener log;
}
