package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.RunningCalls;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32;

/// The index of one `torch.save` container: its object as a tree, and where the bytes of its
/// tensors are. A value; the file is open only while it is indexed.
///
/// Opening reads the directory, the record headers and `data.pkl` (whose CRC-32 is checked), never
/// tensor data. Every tensor in the tree has been checked to lie inside its storage, and every
/// storage to have the size that the pickle says.
public final class TorchFile {
    private final ByteSource source;
    private final String root;
    private final Optional<String> version;
    private final Map<String, TorchRecord> records;
    private final PickleValue tree;
    private final IdentityHashMap<PyObject, TorchTensor> tensors;

    private TorchFile(
            ByteSource source,
            String root,
            Optional<String> version,
            Map<String, TorchRecord> records,
            PickleValue tree,
            IdentityHashMap<PyObject, TorchTensor> tensors) {
        this.source = source;
        this.root = root;
        this.version = version;
        this.records = records;
        this.tree = tree;
        this.tensors = tensors;
    }

    /// @throws MalformedFileException where it is not a `torch.save` container, a damaged one, or
    ///   one whose pickle would run something where it is loaded
    public static TorchFile open(Path file) throws IOException {
        return open(PlainFile.of(file));
    }

    public static TorchFile open(ByteSource source) throws IOException {
        return open(source, 0, source.size());
    }

    /// A container inside a larger file, as an item of a `.distcp` file is.
    ///
    /// @param offset where it begins, in bytes from the start of the source
    /// @param length bytes
    public static TorchFile open(ByteSource source, long offset, long length) throws IOException {
        if (offset < 0 || length < 0 || offset > source.size() - length) {
            throw new MalformedFileException(
                    source.path(),
                    offset,
                    "an item of %d bytes in a file of %d".formatted(length, source.size()),
                    "an item inside the file",
                    "the file is cut short; copy it again from where it was written");
        }
        try (ByteReader reader = source.open()) {
            return index(source, new Region(source.path(), reader, offset, length));
        }
    }

    private static TorchFile index(ByteSource source, Region region) throws IOException {
        Container.checkKind(region);
        List<TorchRecord> all = ZipDirectory.read(region);
        Container container = Container.of(region, all);
        TorchRecord pickle = container.pickle();
        PickleValue tree =
                PickleReader.read(region.path(), pickle.offset(), container.content(pickle));
        RunningCalls.refuse(region.path(), tree);
        Map<String, TorchRecord> byName = new LinkedHashMap<>();
        all.forEach(record -> byName.put(record.name(), record));
        Map<String, TorchRecord> unmodifiable = Collections.unmodifiableMap(byName);
        IdentityHashMap<PyObject, TorchTensor> tensors =
                new TensorIndex(region, container.root(), pickle, unmodifiable).of(tree);
        return new TorchFile(
                source, container.root(), container.word("version"), unmodifiable, tree, tensors);
    }

    /// The records that the directory of a container lists, without its pickle being read: enough
    /// to hold bytes against their checksums.
    ///
    /// @return none where the source is no such container
    public static List<Checksummed> checksums(ByteSource source, long offset, long length)
            throws IOException {
        try (ByteReader reader = source.open()) {
            Region region = new Region(source.path(), reader, offset, length);
            if (length < 4 || region.read(0, 4).getInt(0) != ZipRecords.LOCAL) {
                return List.of();
            }
            return directory(region).stream()
                    .filter(r -> r.crc().isPresent() && r.size() > 0)
                    .map(
                            r ->
                                    new Checksummed(
                                            source,
                                            r.name(),
                                            r.offset(),
                                            r.size(),
                                            r.crc().getAsInt()))
                    .toList();
        }
    }

    /// Of another kind of zip none.
    private static List<TorchRecord> directory(Region region) throws IOException {
        try {
            return ZipDirectory.read(region);
        } catch (MalformedFileException _) {
            return List.of();
        }
    }

    public ByteSource source() {
        return source;
    }

    public Path path() {
        return source.path();
    }

    /// The folder that all records are in: the stem of the file it was saved as, or `archive`.
    public String root() {
        return root;
    }

    /// The container's format version: `3` for every torch since 1.6.
    public Optional<String> version() {
        return version;
    }

    /// The pickled object.
    public PickleValue tree() {
        return tree;
    }

    /// Every record, in the order of the directory.
    public List<TorchRecord> records() {
        return List.copyOf(records.values());
    }

    /// The record of a storage. Present for every tensor of this file.
    public Optional<TorchRecord> storage(String key) {
        return Optional.ofNullable(records.get(root + "/data/" + key));
    }

    /// The tensor that this node of the tree stands for; empty where it is something else.
    public Optional<TorchTensor> tensor(PickleValue node) {
        return node instanceof PyObject object
                ? Optional.ofNullable(tensors.get(object))
                : Optional.empty();
    }

    /// Where the first element of a tensor of this file is, in bytes from the start of the file.
    public long position(TorchTensor tensor) {
        TorchRecord record =
                storage(tensor.storageKey())
                        .orElseThrow(
                                () ->
                                        new IllegalArgumentException(
                                                "no storage '%s' in %s"
                                                        .formatted(tensor.storageKey(), path())));
        return record.offset() + tensor.storageOffset() * tensor.dtype().width();
    }

    /// Reads a record and compares its CRC-32 with the directory's, where that has one.
    ///
    /// @throws MalformedFileException where they differ
    public void verifyCrc(TorchRecord record) throws IOException {
        if (record.crc().isEmpty()) {
            return;
        }
        try (ByteReader reader = source.open()) {
            CRC32 crc = new CRC32();
            ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(1 << 20, record.size()));
            for (long at = record.offset(); at < record.end(); at += buffer.limit()) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), record.end() - at));
                reader.read(at, buffer);
                crc.update(buffer.flip());
            }
            Container.checkCrc(path(), record, crc);
        }
    }

    /// The path of the file and what it holds.
    @Override
    public String toString() {
        return "%s (%d records, %d tensors)".formatted(path(), records.size(), tensors.size());
    }
}
