package io.ucp.formats.torch;

import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32;

/// The records of a zip taken as a `torch.save` container: its root, its pickle, its byte order.
record Container(Region region, String root, List<TorchRecord> records) {
    /// Longest of the one-word records that opening reads.
    private static final int LONGEST_WORD = 64;

    /// `torch.serialization.MAGIC_NUMBER` as protocol 2 pickles it: the start of a legacy file.
    private static final byte[] LEGACY = {
        (byte) 0x80,
        2,
        (byte) 0x8a,
        10,
        0x6c,
        (byte) 0xfc,
        (byte) 0x9c,
        0x46,
        (byte) 0xf9,
        0x20,
        0x6a,
        (byte) 0xa8,
        0x50,
        0x19
    };

    /// Refuses what does not begin like a zip, by its name where it has one.
    static void checkKind(Region region) throws IOException {
        ByteBuffer head = region.read(0, (int) Math.min(512, region.length()));
        if (head.limit() >= 4 && head.getInt(0) == ZipRecords.LOCAL) {
            return;
        }
        if (head.limit() == 0) {
            throw region.malformed(0, "an empty file", "a torch.save file");
        }
        String remedy =
                "load it with torch and save it again with torch.save of torch 1.6 or later";
        if (startsWith(head, LEGACY)) {
            throw region.malformed(
                    0, "a legacy torch.save file (before torch 1.6)", "a zip container", remedy);
        }
        if (head.limit() > 262 && text(head, 257, 5).equals("ustar")) {
            throw region.malformed(
                    0, "a tar file, as torch wrote before 0.1.10", "a zip container", remedy);
        }
        if (text(head, 0, 8).equals("PYTORCH1")) {
            throw region.malformed(
                    0, "an archive of a torch 1.0 preview", "a zip container", remedy);
        }
        if (head.get(0) == (byte) 0x80) {
            throw region.malformed(
                    0,
                    "a bare pickle",
                    "a zip container written by torch.save",
                    "load it with pickle and save it with torch.save");
        }
        throw region.malformed(
                0,
                "not a torch.save file",
                "a zip, which begins with PK\\3\\4",
                "check that this is the file that was meant");
    }

    private static boolean startsWith(ByteBuffer bytes, byte[] prefix) {
        return bytes.limit() >= prefix.length
                && bytes.slice(0, prefix.length).equals(ByteBuffer.wrap(prefix));
    }

    private static String text(ByteBuffer bytes, int at, int size) {
        return bytes.limit() < at + size
                ? ""
                : StandardCharsets.ISO_8859_1.decode(bytes.slice(at, size)).toString();
    }

    static Container of(Region region, List<TorchRecord> records) throws IOException {
        if (records.isEmpty()) {
            throw region.malformed(0, "a zip without records", "a torch.save file");
        }
        String first = records.getFirst().name();
        int slash = first.indexOf('/');
        if (slash <= 0) {
            throw region.malformed(
                    0,
                    "the record '%s' outside of any folder".formatted(first),
                    "all records in one folder, as torch.save writes them",
                    "check that this is the file that was meant");
        }
        Container container = new Container(region, first.substring(0, slash), records);
        container.refuseTorchScript();
        container.checkByteOrder();
        return container;
    }

    private void refuseTorchScript() throws IOException {
        boolean script =
                find("constants.pkl").isPresent()
                        || records.stream().anyMatch(r -> r.name().startsWith(root + "/code/"));
        if (script) {
            throw region.malformed(
                    0,
                    "a TorchScript archive: a program with its weights",
                    "a torch.save file",
                    "save its state instead: torch.save(torch.jit.load(f).state_dict(), ..)");
        }
    }

    private void checkByteOrder() throws IOException {
        String order = word("byteorder").orElse("little");
        if (!order.equals("little")) {
            throw region.malformed(
                    find("byteorder").orElseThrow().offset() - region.base(),
                    "byte order '%s'".formatted(order),
                    "little-endian data",
                    "load and save it with torch on a little-endian machine");
        }
    }

    /// The text of a record of one word, without the space around it.
    Optional<String> word(String name) throws IOException {
        Optional<TorchRecord> record = find(name);
        if (record.isEmpty()) {
            return Optional.empty();
        }
        if (record.get().size() > LONGEST_WORD) {
            throw region.malformed(
                    record.get().offset() - region.base(),
                    "a %s of %d bytes".formatted(name, record.get().size()),
                    "one word");
        }
        byte[] bytes = content(record.get());
        return Optional.of(new String(bytes, StandardCharsets.ISO_8859_1).strip());
    }

    /// @param name without the root
    Optional<TorchRecord> find(String name) {
        String full = root + "/" + name;
        return records.stream().filter(r -> r.name().equals(full)).findFirst();
    }

    TorchRecord pickle() throws IOException {
        return find("data.pkl")
                .orElseThrow(
                        () ->
                                region.malformed(
                                        0,
                                        "no record '%s/data.pkl'".formatted(root),
                                        "a torch.save file",
                                        "check that this is the file that was meant"));
    }

    /// The bytes of a small record, its CRC-32 checked.
    byte[] content(TorchRecord record) throws IOException {
        if (record.size() > Integer.MAX_VALUE - 8) {
            throw new MalformedFileException(
                    region.path(),
                    record.offset(),
                    "'%s' of %d bytes".formatted(record.name(), record.size()),
                    "less than 2 GiB",
                    "keep large data in tensors, which are stored outside of the pickle");
        }
        byte[] bytes = region.read(record.offset() - region.base(), (int) record.size()).array();
        CRC32 crc = new CRC32();
        crc.update(bytes);
        checkCrc(region.path(), record, crc);
        return bytes;
    }

    static void checkCrc(Path path, TorchRecord record, CRC32 found) throws IOException {
        if (record.crc().isPresent() && (int) found.getValue() != record.crc().getAsInt()) {
            throw new MalformedFileException(
                    path,
                    record.offset(),
                    "'%s' has the CRC-32 %08x".formatted(record.name(), found.getValue()),
                    "%08x, as the directory says".formatted(record.crc().getAsInt()),
                    "the file is damaged; copy it again from where it was written");
        }
    }
}
