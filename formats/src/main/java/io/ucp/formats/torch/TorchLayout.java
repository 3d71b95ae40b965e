package io.ucp.formats.torch;

import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.io.ChecksumField;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/// A container to be written, known to the byte but for the data of its storages and their CRC-32s.
///
/// The same records in the same order, the same headers, padding and descriptors as torch 2.14
/// writes: given torch's own pickle and storages it gives torch's own file, except for the
/// serialization id, which is a hash. (A newer torch may compute storage offsets from these sizes
/// instead of reading them, so they are not ours to choose.)
public final class TorchLayout {
    private final List<TargetFile.Part.Literal> literals;
    private final Map<String, Long> offsets;
    private final List<ChecksumField> checksums;
    private final long size;

    private TorchLayout(
            List<TargetFile.Part.Literal> literals,
            Map<String, Long> offsets,
            List<ChecksumField> checksums,
            long size) {
        this.literals = List.copyOf(literals);
        this.offsets = offsets;
        this.checksums = List.copyOf(checksums);
        this.size = size;
    }

    /// @param root the folder of the records, see [#rootOf]
    /// @param tree the object; every storage its tensors name should be among `storages`
    /// @param storages in the order of the file
    public static TorchLayout of(String root, PickleValue tree, List<TorchStorage> storages) {
        byte[] pickle = PickleWriter.write(tree);
        return of(root, pickle, storages, serializationId(root, pickle, storages));
    }

    static TorchLayout of(
            String root, byte[] pickle, List<TorchStorage> storages, String serializationId) {
        if (root.isEmpty() || root.indexOf('/') >= 0) {
            throw new IllegalArgumentException("'%s' is no name of a folder".formatted(root));
        }
        ZipLayout zip = new ZipLayout();
        Map<String, Long> offsets = new LinkedHashMap<>();
        zip.literal(root + "/data.pkl", pickle);
        zip.literal(root + "/.format_version", ascii("1"));
        zip.literal(root + "/.storage_alignment", ascii("64"));
        zip.literal(root + "/byteorder", ascii("little"));
        for (TorchStorage storage : storages) {
            long offset = zip.record(root + "/data/" + storage.key(), storage.size());
            if (offsets.put(storage.key(), offset) != null) {
                throw new IllegalArgumentException("storage '%s' twice".formatted(storage.key()));
            }
        }
        zip.literal(root + "/version", ascii("3\n"));
        zip.literal(root + "/.data/serialization_id", ascii(serializationId));
        long size = zip.finish();
        return new TorchLayout(zip.literals(), offsets, zip.checksums(), size);
    }

    /// The root that torch gives a file of this name: its stem, or `archive` where the name is not
    /// ASCII.
    public static String rootOf(String fileName) {
        String base = fileName.substring(fileName.lastIndexOf('/') + 1);
        int dot = base.lastIndexOf('.');
        String stem = dot < 0 ? base : base.substring(0, dot);
        boolean plain = !stem.isEmpty() && stem.chars().allMatch(c -> c < 0x80 && c != '\\');
        return plain ? stem : "archive";
    }

    /// A file on disk must not depend on when or where it was written, so this is a hash of what is
    /// known; torch's own hashes the data too. Nothing reads it back but telemetry.
    private static String serializationId(String root, byte[] pickle, List<TorchStorage> storages) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(root.getBytes(StandardCharsets.UTF_8));
            digest.update(pickle);
            for (TorchStorage storage : storages) {
                digest.update(
                        (storage.key() + " " + storage.size() + "\n")
                                .getBytes(StandardCharsets.UTF_8));
            }
            BigInteger number = new BigInteger(1, digest.digest()).mod(BigInteger.TEN.pow(40));
            String digits = number.toString();
            return "0".repeat(40 - digits.length()) + digits;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    /// Bytes of the whole file.
    public long size() {
        return size;
    }

    /// Everything but the data of the storages, in the order of the file.
    public List<TargetFile.Part.Literal> literals() {
        return literals;
    }

    /// For each storage with data, where its CRC-32 goes: its data descriptor and its directory
    /// entry.
    public List<ChecksumField> checksums() {
        return checksums;
    }

    /// Where the data of a storage begins: a multiple of 64, in bytes from the start of the file.
    public long storageOffset(String key) {
        return Optional.ofNullable(offsets.get(key))
                .orElseThrow(() -> new IllegalArgumentException("no storage '%s'".formatted(key)));
    }

    /// The whole file, with these parts as the data of each storage.
    ///
    /// @param contents of a storage by its key: parts that tile it, at offsets in the file
    /// @throws IllegalArgumentException where they do not tile it
    public TargetFile file(String path, Function<String, List<TargetFile.Part>> contents) {
        List<TargetFile.Part> parts =
                Stream.concat(
                                literals.stream(),
                                offsets.keySet().stream().flatMap(k -> contents.apply(k).stream()))
                        .map(TargetFile.Part.class::cast)
                        .filter(part -> part.size() > 0)
                        .sorted(Comparator.comparingLong(TargetFile.Part::offset))
                        .toList();
        return new TargetFile(path, size, parts, checksums, Optional.empty());
    }
}
