package io.ucp.formats.torch;

import io.ucp.formats.TargetFile;
import io.ucp.io.ChecksumField;
import io.ucp.io.LittleEndianBytes;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;

/// Lays a zip of stored records out as torch's writer does, front to back.
///
/// Source: PyTorch `caffe2/serialize/inline_container.cc` (`getPadding`),
/// `third_party/miniz-3.0.2/miniz.c` (`mz_zip_writer_add_mem_ex_v2`,
/// `mz_zip_writer_finalize_archive`).
final class ZipLayout {
    private static final int ALIGNMENT = 64;
    private static final long MAX_U4 = 0xffff_ffffL;
    private static final int MAX_U2 = 0xffff;

    /// Of the frame of a file with one storage.
    private static final int BLOCK = 1024;

    /// Of an extra field with every number.
    private static final int WIDE = 28;

    private final List<TargetFile.Part.Literal> literals = new ArrayList<>();
    private final List<ChecksumField> checksums = new ArrayList<>();
    private final List<Entry> entries = new ArrayList<>();
    private LittleEndianBytes block = new LittleEndianBytes(BLOCK);

    /// Where `block` begins in the file.
    private long start;

    /// @param data where the record's data begins
    /// @param descriptor where its CRC-32 stands behind the data
    /// @param crc of a literal, or 0
    /// @param pending whether the CRC-32 is to be filled in
    private record Entry(
            byte[] name,
            long header,
            long data,
            long size,
            long descriptor,
            int crc,
            boolean pending) {}

    private long position() {
        return Math.addExact(start, block.size());
    }

    /// A record whose bytes are known.
    void literal(String name, byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        add(name, bytes.length, (int) crc.getValue(), bytes);
    }

    /// A record whose bytes come later.
    ///
    /// @return where they go, in bytes from the start of the file
    long record(String name, long size) {
        return add(name, size, 0, null);
    }

    private long add(String name, long size, int crc, byte @Nullable [] bytes) {
        byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
        if (utf8.length > MAX_U2) {
            throw new IllegalArgumentException("a name of %d bytes".formatted(utf8.length));
        }
        long header = position();
        LittleEndianBytes extra = wide(size, header);
        boolean wide = extra.size() > 0;
        int unpadded = 30 + utf8.length + extra.size() + 4;
        int padding = (int) Math.floorMod(-(header + unpadded), (long) ALIGNMENT);
        block.u4(0x04034b50).u2(0).u2(flags(size)).u2(0).u4(0).u4(0).u4(0).u4(0);
        block.u2(utf8.length).u2(extra.size() + 4 + padding).bytes(utf8).bytes(extra.toByteArray());
        block.u1('F').u1('B').u2(padding).fill('Z', padding);
        long data = position();
        if (bytes != null) {
            block.bytes(bytes);
        } else if (size > 0) {
            skip(size);
        }
        long descriptor = position() + 4;
        if (size > 0) {
            block.u4(0x08074b50).u4(crc);
            if (wide) {
                block.u8(size).u8(size);
            } else {
                block.u4(size).u4(size);
            }
        }
        entries.add(
                new Entry(utf8, header, data, size, descriptor, crc, bytes == null && size > 0));
        return data;
    }

    /// Bit 11: the name is UTF-8. Bit 3: a data descriptor follows.
    private static int flags(long size) {
        return size > 0 ? 0x808 : 0x800;
    }

    /// The zip64 extra field, empty where every number fits in 4 bytes.
    private static LittleEndianBytes wide(long size, long header) {
        LittleEndianBytes fields = new LittleEndianBytes(WIDE);
        if (size >= MAX_U4) {
            fields.u8(size).u8(size);
        }
        if (header >= MAX_U4) {
            fields.u8(header);
        }
        LittleEndianBytes extra = new LittleEndianBytes(WIDE);
        if (fields.size() > 0) {
            extra.u2(1).u2(fields.size()).bytes(fields.toByteArray());
        }
        return extra;
    }

    /// Leaves `size` bytes to others.
    private void skip(long size) {
        literals.add(new TargetFile.Part.Literal(start, block.toByteArray()));
        start = Math.addExact(position(), size);
        block = new LittleEndianBytes(BLOCK);
    }

    /// Writes the directory and what ends the file.
    ///
    /// @return bytes of the whole file
    long finish() {
        long directory = position();
        for (Entry entry : entries) {
            central(entry);
        }
        long end = position();
        long size = end - directory;
        int count = entries.size();
        block.u4(0x06064b50).u8(44).u2(0x31e).u2(45).u4(0).u4(0);
        block.u8(count).u8(count).u8(size).u8(directory);
        block.u4(0x07064b50).u4(0).u8(end).u4(1);
        int narrow = Math.min(count, MAX_U2);
        block.u4(0x06054b50).u2(0).u2(0).u2(narrow).u2(narrow);
        block.u4(Math.min(size, MAX_U4)).u4(Math.min(directory, MAX_U4)).u2(0);
        long whole = position();
        literals.add(new TargetFile.Part.Literal(start, block.toByteArray()));
        return whole;
    }

    private void central(Entry entry) {
        long at = position();
        LittleEndianBytes extra = wide(entry.size(), entry.header());
        long size = Math.min(entry.size(), MAX_U4);
        block.u4(0x02014b50).u2(0).u2(0).u2(flags(entry.size())).u2(0).u4(0);
        block.u4(entry.crc()).u4(size).u4(size).u2(entry.name().length).u2(extra.size());
        block.u2(0).u2(0).u2(0).u4(0).u4(Math.min(entry.header(), MAX_U4));
        block.bytes(entry.name()).bytes(extra.toByteArray());
        if (entry.pending()) {
            checksums.add(
                    new ChecksumField(
                            entry.data(), entry.size(), List.of(entry.descriptor(), at + 16)));
        }
    }

    List<TargetFile.Part.Literal> literals() {
        return literals;
    }

    List<ChecksumField> checksums() {
        return checksums;
    }
}
