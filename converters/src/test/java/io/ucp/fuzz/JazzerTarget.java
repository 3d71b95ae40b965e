package io.ucp.fuzz;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// The same parsers for Jazzer, which is guided by coverage: `.ci/jazzer` runs it. It needs nothing
/// of Jazzer to be compiled.
public final class JazzerTarget {
    private static final Path FOLDER = folder();
    private static final Fuzzing FUZZING = fuzzing();

    private JazzerTarget() {}

    private static Path folder() {
        try {
            return Files.createTempDirectory("ucp-jazzer-");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Fuzzing fuzzing() {
        String name = System.getProperty("ucp.fuzz.parser", "pickle");
        try {
            for (Parser parser : Parsers.all(FOLDER.resolve("seeds"))) {
                if (parser.name().equals(name)) {
                    return new Fuzzing(parser, Files.createDirectory(FOLDER.resolve(name)), 0);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        throw new IllegalArgumentException("no parser " + name);
    }

    /// Called by Jazzer.
    public static void fuzzerTestOneInput(byte[] input) throws IOException {
        FUZZING.execute(input);
    }
}
