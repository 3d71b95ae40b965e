package io.ucp.fuzz;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

/// Inputs that earlier runs came far with, kept in the repository: a zip for each parser. They are
/// where the next run begins.
final class Corpus {
    private static final int MOST = 250;
    private static final int LARGEST = 8 << 10;

    private Corpus() {}

    /// Empty where none is kept.
    static List<byte[]> read(String parser) throws IOException {
        List<byte[]> inputs = new ArrayList<>();
        try (InputStream in = Corpus.class.getResourceAsStream("/fuzz/%s.zip".formatted(parser))) {
            if (in != null) {
                ZipInputStream zip = new ZipInputStream(in);
                while (zip.getNextEntry() != null) {
                    inputs.add(zip.readAllBytes());
                }
            }
        }
        return inputs;
    }

    /// The smallest of them.
    static void write(Path folder, String parser, List<byte[]> inputs) throws IOException {
        List<byte[]> kept =
                inputs.stream()
                        .filter(input -> input.length <= LARGEST)
                        .sorted(Comparator.comparingInt(input -> input.length))
                        .limit(MOST)
                        .toList();
        Files.createDirectories(folder);
        try (ZipOutputStream zip =
                new ZipOutputStream(Files.newOutputStream(folder.resolve(parser + ".zip")))) {
            for (int k = 0; k < kept.size(); k++) {
                ZipEntry entry = new ZipEntry("%03d".formatted(k));
                entry.setTime(0);
                zip.putNextEntry(entry);
                zip.write(kept.get(k));
            }
        }
    }
}
