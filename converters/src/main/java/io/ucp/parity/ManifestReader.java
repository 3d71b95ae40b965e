package io.ucp.parity;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;
import io.ucp.parity.ParityManifest.Pointer;
import io.ucp.parity.ParitySet.Member;
import io.ucp.tensor.TensorDigest;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// Reads a manifest and takes nothing of it on trust: its digest, every path, and every number
/// against the others. What it needs is a small multiple of the file's size.
final class ManifestReader {
    private static final String REMEDY =
            "use another copy of it (each node's folder of the parity has one), or protect again";
    private static final int DEEPEST = 16;
    private static final int LONGEST_POINTER = 4096;

    private final Path file;
    private final Set<String> dataPaths = new HashSet<>();
    private final Set<String> parityPaths = new HashSet<>();
    private int data;
    private int parity;
    private int blockSize;

    private ManifestReader(Path file) {
        this.file = file;
    }

    /// @throws MalformedFileException where it is not what `ucp protect` wrote
    static ParityManifest read(Path file) throws IOException {
        return new ManifestReader(file).manifest();
    }

    private ParityManifest manifest() throws IOException {
        if (Files.size(file) > Integer.MAX_VALUE - 8) {
            throw malformed("%d bytes".formatted(Files.size(file)), "a manifest below 2 GiB");
        }
        byte[] bytes = WholeFile.read(file);
        checkDigest(bytes);
        JsonNode root;
        try {
            root = mapper(bytes.length).readTree(bytes);
        } catch (JsonProcessingException e) {
            throw malformed("no JSON (%s)".formatted(e.getOriginalMessage()), "a parity manifest");
        }
        return manifest(root);
    }

    private static ObjectMapper mapper(int size) {
        return new ObjectMapper(
                JsonFactory.builder()
                        .streamReadConstraints(
                                StreamReadConstraints.builder()
                                        .maxStringLength(Math.max(size, 1))
                                        .maxNestingDepth(DEEPEST)
                                        .build())
                        .disable(JsonFactory.Feature.CHARSET_DETECTION) // UTF-8 and nothing else
                        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                        .build());
    }

    /// Before anything is read of it.
    private void checkDigest(byte[] bytes) throws MalformedFileException {
        int tail = ManifestWriter.DIGEST.length() + 16 + ManifestWriter.END.length();
        int at = bytes.length - tail;
        String end = at < 0 ? "" : new String(bytes, at, tail, StandardCharsets.ISO_8859_1);
        if (!end.startsWith(ManifestWriter.DIGEST) || !end.endsWith(ManifestWriter.END)) {
            throw malformed("it does not end with its digest", "a whole parity manifest");
        }
        String stated =
                end.substring(ManifestWriter.DIGEST.length(), tail - ManifestWriter.END.length());
        String found = ManifestWriter.digest(Arrays.copyOf(bytes, at));
        if (!found.equals(stated)) {
            throw malformed(
                    "its bytes have the digest " + found, "%s, as its end says".formatted(stated));
        }
    }

    private ParityManifest manifest(JsonNode root) throws IOException {
        String kind = text(root, "kind");
        long version = number(root, "version", 0, Integer.MAX_VALUE);
        if (!kind.equals(ManifestWriter.NAME) || version != ManifestWriter.VERSION) {
            throw malformed(
                    "'%s', version %d".formatted(kind, version),
                    "'%s', version %d".formatted(ManifestWriter.NAME, ManifestWriter.VERSION));
        }
        require(root, "code", ParityManifest.CODE);
        require(root, "digests", TensorDigest.NAME);
        data = (int) number(root, "data", 1, CauchyCode.MOST - 1);
        parity = (int) number(root, "parity", 1, CauchyCode.MOST - data);
        blockSize = (int) number(root, "block_size", PlaneSums.GRAIN, ParityManifest.LARGEST_BLOCK);
        if (blockSize % PlaneSums.GRAIN != 0) {
            throw malformed("block_size " + blockSize, "a multiple of " + PlaneSums.GRAIN);
        }
        List<Pointer> pointers = new ArrayList<>();
        for (JsonNode each : array(root, "pointers")) {
            String text = text(each, "text");
            if (text.length() > LONGEST_POINTER) {
                throw malformed("a pointer of %d letters".formatted(text.length()), "a short one");
            }
            pointers.add(new Pointer(path(each, dataPaths), text));
        }
        List<ParitySet> sets = new ArrayList<>();
        for (JsonNode each : array(root, "sets")) {
            sets.add(set(each));
        }
        String folder = text(root, "folder");
        return new ParityManifest(
                text(root, "format"),
                text(root, "tag"),
                folder.isEmpty() ? "" : inside(folder),
                text(root, "group"),
                data,
                parity,
                blockSize,
                pointers,
                sets);
    }

    private ParitySet set(JsonNode node) throws IOException {
        String name = text(node, "name");
        List<Member> members = new ArrayList<>();
        for (JsonNode each : array(node, "members")) {
            List<StoredFile> files = new ArrayList<>();
            for (JsonNode file : array(each, "files")) {
                files.add(dataFile(file));
            }
            members.add(new Member(text(each, "name"), files));
        }
        if (members.isEmpty() || members.size() > data) {
            throw malformed(
                    "a set of %d members".formatted(members.size()), "1 to %d".formatted(data));
        }
        List<StoredFile> parityFiles = new ArrayList<>();
        for (JsonNode file : array(node, "parity")) {
            parityFiles.add(stored(file, parityPaths));
        }
        if (parityFiles.size() != parity) {
            throw malformed(
                    "a set with %d parity files".formatted(parityFiles.size()),
                    Integer.toString(parity));
        }
        ParitySet set = new ParitySet(name, members, parityFiles);
        Stripes stripes = new Stripes(set, blockSize);
        for (StoredFile file : parityFiles) {
            if (file.size() != stripes.paritySize() || file.blocks().count() != stripes.count()) {
                throw malformed(
                        "'%s' of %d bytes in %d blocks"
                                .formatted(file.path(), file.size(), file.blocks().count()),
                        "%d bytes in %d blocks, as its members need"
                                .formatted(stripes.paritySize(), stripes.count()));
            }
            checkDigest(file, stripes::size);
        }
        return set;
    }

    private StoredFile dataFile(JsonNode node) throws IOException {
        StoredFile file = stored(node, dataPaths);
        long count = Math.ceilDiv(file.size(), blockSize);
        if (file.blocks().count() != count) {
            throw malformed(
                    "'%s' of %d bytes with %d digests"
                            .formatted(file.path(), file.size(), file.blocks().count()),
                    "%d digests".formatted(count));
        }
        checkDigest(file, k -> (int) Math.min(blockSize, file.size() - (long) k * blockSize));
        return file;
    }

    private void checkDigest(StoredFile file, BlockDigests.Sizes sizes)
            throws MalformedFileException {
        String found = file.blocks().ofFile(sizes);
        if (!found.equals(file.digest())) {
            throw malformed(
                    "the blocks of '%s' have the digest %s".formatted(file.path(), found),
                    "%s, as the file has".formatted(file.digest()));
        }
    }

    private StoredFile stored(JsonNode node, Set<String> paths) throws IOException {
        String blocks = text(node, "blocks");
        BlockDigests digests;
        try {
            digests = BlockDigests.parse(blocks);
        } catch (IllegalArgumentException e) {
            throw malformed("blocks that are no digests (%s)".formatted(e.getMessage()), "Base64");
        }
        return new StoredFile(
                path(node, paths),
                number(node, "size", 0, Long.MAX_VALUE),
                node.has("modified")
                        ? number(node, "modified", Long.MIN_VALUE, Long.MAX_VALUE)
                        : StoredFile.UNKNOWN,
                text(node, "digest"),
                digests);
    }

    private String path(JsonNode node, Set<String> taken) throws IOException {
        String path = inside(text(node, "path"));
        if (!taken.add(path)) {
            throw malformed("'%s' twice".formatted(path), "every file once");
        }
        return path;
    }

    /// Nothing that a manifest names lies outside of the two folders.
    private String inside(String path) throws MalformedFileException {
        boolean plain =
                !path.isEmpty()
                        && path.indexOf('\0') < 0
                        && path.indexOf('\\') < 0
                        && Arrays.stream(path.split("/", -1))
                                .noneMatch(p -> p.isEmpty() || p.equals(".") || p.equals(".."));
        if (!plain) {
            throw malformed("the path '%s'".formatted(path), "one that stays inside the folder");
        }
        return path;
    }

    private void require(JsonNode node, String field, String expected) throws IOException {
        String found = text(node, field);
        if (!found.equals(expected)) {
            throw malformed("%s '%s'".formatted(field, found), "'%s'".formatted(expected));
        }
    }

    private String text(JsonNode node, String field) throws MalformedFileException {
        JsonNode found = node.path(field);
        if (!found.isTextual()) {
            throw malformed("no text '%s'".formatted(field), "one");
        }
        return found.textValue();
    }

    private long number(JsonNode node, String field, long least, long most)
            throws MalformedFileException {
        JsonNode found = node.path(field);
        if (!found.canConvertToLong() || !found.isIntegralNumber()) {
            throw malformed("no whole number '%s'".formatted(field), "one");
        }
        long number = found.longValue();
        if (number < least || number > most) {
            throw malformed("%s %d".formatted(field, number), "%d to %d".formatted(least, most));
        }
        return number;
    }

    private JsonNode array(JsonNode node, String field) throws MalformedFileException {
        JsonNode found = node.path(field);
        if (!found.isArray()) {
            throw malformed("no list '%s'".formatted(field), "one");
        }
        return found;
    }

    private MalformedFileException malformed(String found, String expected) {
        return new MalformedFileException(file, -1, found, expected, REMEDY);
    }
}
