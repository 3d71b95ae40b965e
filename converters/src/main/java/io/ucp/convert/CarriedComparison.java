package io.ucp.convert;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.torch.TreeJson;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/// What two checkpoints carry beside their parameters, file by file: trees, and the bytes behind
/// them that are no parameter's. Another layout has other files and other arguments in them, so
/// that what differs is told and is no difference of the state.
final class CarriedComparison {
    private static final int NAMED = 4;
    private static final int BLOCK = 1 << 16;

    private CarriedComparison() {}

    /// One line for each way in which they differ; none where they do not.
    static List<String> of(List<CarriedFile> first, List<CarriedFile> second) throws IOException {
        Map<String, CarriedFile> a = byPath(first);
        Map<String, CarriedFile> b = byPath(second);
        List<String> unlike = new ArrayList<>();
        for (Map.Entry<String, CarriedFile> held : a.entrySet()) {
            CarriedFile other = b.get(held.getKey());
            if (other != null && !Arrays.equals(digest(held.getValue()), digest(other))) {
                unlike.add(held.getKey());
            }
        }
        List<String> lines = new ArrayList<>();
        add(lines, unlike, "carried files that differ");
        add(lines, without(a, b), "carried files that only the first has");
        add(lines, without(b, a), "carried files that only the second has");
        return lines;
    }

    private static Map<String, CarriedFile> byPath(List<CarriedFile> files) {
        Map<String, CarriedFile> byPath = new TreeMap<>();
        files.forEach(file -> byPath.put(file.path(), file));
        return byPath;
    }

    private static List<String> without(
            Map<String, CarriedFile> files, Map<String, CarriedFile> others) {
        TreeSet<String> left = new TreeSet<>(files.keySet());
        left.removeAll(others.keySet());
        return List.copyOf(left);
    }

    private static void add(List<String> lines, List<String> paths, String what) {
        if (!paths.isEmpty()) {
            String shown = String.join(", ", paths.subList(0, Math.min(NAMED, paths.size())));
            lines.add(
                    "%d %s: %s%s"
                            .formatted(
                                    paths.size(), what, shown, paths.size() > NAMED ? ", .." : ""));
        }
    }

    private static byte[] digest(CarriedFile file) throws IOException {
        MessageDigest digest = sha256();
        if (file.root().isPresent()) {
            try (JsonGenerator json =
                    TreeJson.factory()
                            .createGenerator(
                                    new DigestOutputStream(
                                            OutputStream.nullOutputStream(), digest))) {
                TreeJson.write(json, file.root().get());
            }
        }
        if (file.root().isEmpty() && file.file().isPresent()) {
            ByteSource source = file.file().get();
            add(digest, source, 0, source.size());
        }
        for (Map.Entry<String, Storage> storage : new TreeMap<>(file.storages()).entrySet()) {
            text(digest, "%s %d".formatted(storage.getKey(), storage.getValue().size()));
            for (Content content : storage.getValue().content()) {
                switch (content) {
                    case Content.Raw(_, var source, long offset, long size) ->
                            add(digest, source, offset, size);
                    case Content.Elements(long offset, var of) ->
                            text(
                                    digest,
                                    "%d %s %s %s"
                                            .formatted(
                                                    offset,
                                                    of.parameter(),
                                                    of.state(),
                                                    of.pieces()));
                }
            }
        }
        return digest.digest();
    }

    private static void text(MessageDigest digest, String text) {
        digest.update(text.getBytes(StandardCharsets.UTF_8));
        digest.update((byte) 0);
    }

    private static void add(MessageDigest digest, ByteSource source, long offset, long size)
            throws IOException {
        ByteBuffer block = ByteBuffer.allocate(BLOCK);
        try (ByteReader reader = source.open()) {
            for (long at = 0; at < size; at += block.limit()) {
                block.clear().limit((int) Math.min(BLOCK, size - at));
                reader.read(offset + at, block);
                digest.update(block.flip());
            }
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
