package io.ucp.parity;

import io.ucp.convert.Described;
import io.ucp.convert.Digests;
import io.ucp.convert.Leftover;
import io.ucp.convert.OpenedSource;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Trees;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;

/// A copy of a real checkpoint beside some odd files, its parity, and what it was like before.
final class ProtectedSample {
    static final RunOptions OPTIONS =
            RunOptions.standard()
                    .withThreads(3)
                    .withOutput(new OutputFolder.Rules(Leftover.REFUSE, false, false));

    /// Small, so that files have many blocks and the last is short.
    static final int BLOCK = 4096;

    private static final Path SAMPLES = Path.of("../samples");

    final Path checkpoint;
    final Path parity;
    final Map<Path, String> before;
    final Map<String, Map<String, String>> digests;

    private ProtectedSample(Path checkpoint, Path parity) throws IOException {
        this.checkpoint = checkpoint;
        this.parity = parity;
        this.before = content(checkpoint);
        before.putAll(content(parity));
        this.digests = digests(checkpoint);
    }

    static ProtectedSample of(Path folder, String sample, String group, int data, int parity)
            throws IOException {
        Path checkpoint = folder.resolve("ckpt");
        Trees.copy(SAMPLES.resolve(sample).resolve("checkpoint"), checkpoint);
        Path tag;
        try (Stream<Path> entries = Files.list(checkpoint)) {
            tag = entries.filter(Files::isDirectory).findFirst().orElseThrow();
        }
        Files.createFile(tag.resolve("empty.log"));
        Files.write(tag.resolve("one.log"), new byte[] {7});
        Files.write(tag.resolve("block.log"), bytes(BLOCK));
        Files.createDirectories(tag.resolve("deep/er"));
        Files.write(tag.resolve("deep/er/odd.log"), bytes(3 * BLOCK + 1));
        Protection.run(
                new Protection.Request(
                        checkpoint,
                        OpenedSource.open(checkpoint, Optional.empty()),
                        Grouping.parse(group).orElseThrow(),
                        data,
                        parity,
                        BLOCK),
                folder.resolve("parity"),
                OPTIONS,
                (done, total) -> {});
        return new ProtectedSample(checkpoint, folder.resolve("parity"));
    }

    private static byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        new Random(count).nextBytes(bytes);
        return bytes;
    }

    /// Every file's bytes.
    static Map<Path, String> content(Path folder) throws IOException {
        Map<Path, String> content = new TreeMap<>();
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.filter(Files::isRegularFile).toList()) {
                content.put(path, HexFormat.of().formatHex(Files.readAllBytes(path)));
            }
        }
        return content;
    }

    Map<Path, String> now() throws IOException {
        Map<Path, String> now = content(checkpoint);
        now.putAll(content(parity));
        return now;
    }

    static Map<String, Map<String, String>> digests(Path checkpoint) throws IOException {
        Described described =
                Described.of(checkpoint, Optional.empty(), Optional.empty(), Map.of());
        return Digests.of(described.inventory(), OPTIONS, (done, total) -> {});
    }

    ProtectedCheckpoint open() throws IOException {
        return ProtectedCheckpoint.open(checkpoint, parity);
    }

    Health scrub() throws IOException {
        return Scrub.of(open(), OPTIONS, (done, total) -> {});
    }

    List<Path> repair() throws IOException {
        return Repair.of(scrub(), OPTIONS, (done, total) -> {});
    }

    Path degraded() throws IOException {
        return Degraded.open(checkpoint, parity);
    }

    /// The checkpoint's files, sorted.
    List<Path> files() throws IOException {
        return open().manifest().files().map(f -> checkpoint.resolve(f.path())).sorted().toList();
    }

    List<Path> parityFiles() throws IOException {
        return open().manifest().parityFiles().map(f -> parity.resolve(f.path())).sorted().toList();
    }

    /// Some of `paths`, all different.
    static List<Path> some(List<Path> paths, int count, Random random) {
        List<Path> rest = new ArrayList<>(paths);
        List<Path> chosen = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            chosen.add(rest.remove(random.nextInt(rest.size())));
        }
        return chosen;
    }

    static void flip(Path file, long at) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        bytes[(int) at] ^= 1;
        damage(file, bytes);
    }

    /// As a disk does: the file's time stays.
    static void damage(Path file, byte[] bytes) throws IOException {
        FileTime modified = Files.getLastModifiedTime(file);
        Files.write(file, bytes);
        Files.setLastModifiedTime(file, modified);
    }
}
