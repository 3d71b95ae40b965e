package io.ucp.formats.torch;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.OptionalInt;

/// A walk over the bytes of a zip that are not data: descriptor of one record, header of the next.
/// What they say must be what the directory says, and every byte must be somebody's: between two
/// records lies nothing but a descriptor.
///
/// Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
final class ZipRecords {
    static final int LOCAL = 0x04034b50;
    private static final int LOCAL_SIZE = 30;
    private static final int DESCRIPTOR = 0x08074b50;

    /// Gaps up to here are read together with the header behind them.
    private static final int SMALL_GAP = 1024;

    /// Bytes read with a header: torch's padding of up to 64 and a zip64 field.
    private static final int SMALL_EXTRA = 128;

    /// Extra fields.
    private static final int ZIP64 = 1;

    private static final int TORCH_PADDING = 'F' | 'B' << 8;

    private final Region region;
    private final long directory;
    private final boolean checked;
    private @Nullable ZipEntry before;

    /// First byte past the data of `before`.
    private long end;

    /// @param directory offset of the central directory, which ends the records
    /// @param checked whether the CRC-32s are more than zeros
    ZipRecords(Region region, long directory, boolean checked) {
        this.region = region;
        this.directory = directory;
        this.checked = checked;
    }

    TorchRecord next(ZipEntry entry) throws IOException {
        byte[] name = entry.name().getBytes(StandardCharsets.UTF_8);
        int headerSize = LOCAL_SIZE + name.length;
        long gap = entry.header() - end;
        if (gap < 0 || headerSize > directory - entry.header()) {
            throw overlap(entry);
        }
        int read = gap <= SMALL_GAP ? (int) gap : 0;
        int spare = (int) Math.min(SMALL_EXTRA, directory - entry.header() - headerSize);
        ByteBuffer bytes = region.read(entry.header() - read, read + headerSize + spare);
        descriptor(gap, read == gap ? bytes : null);
        ByteBuffer header = bytes.slice(read, headerSize).order(ByteOrder.LITTLE_ENDIAN);
        checkHeader(entry, header, name);
        requireNoOthers(gap);
        long data = entry.header() + headerSize + ZipDirectory.u2(header, 28);
        if (data > directory || entry.size() > directory - data) {
            throw overlap(entry);
        }
        int extraSize = ZipDirectory.u2(header, 28);
        ByteBuffer extra =
                extraSize <= spare
                        ? bytes.slice(read + headerSize, extraSize)
                        : region.read(entry.header() + headerSize, extraSize);
        checkExtra(entry, header, extra.order(ByteOrder.LITTLE_ENDIAN));
        before = entry;
        end = data + entry.size();
        return new TorchRecord(
                entry.name(),
                region.base() + data,
                entry.size(),
                checked ? OptionalInt.of(entry.crc()) : OptionalInt.empty());
    }

    void last() throws IOException {
        descriptor(directory - end, null);
        requireNoOthers(directory - end);
    }

    /// @param gap bytes from the record before on, which its descriptor has to fill
    private void requireNoOthers(long gap) throws IOException {
        boolean described = before != null && before.hasDescriptor();
        if (described ? gap < 12 || gap > 24 || gap % 4 != 0 : gap != 0) {
            throw region.malformed(
                    end,
                    "%d bytes that no record of the directory holds".formatted(gap),
                    "records one after the other, then the directory");
        }
    }

    private IOException overlap(ZipEntry entry) {
        return region.malformed(
                entry.header(),
                "'%s' overlaps what is before it or behind it".formatted(entry.name()),
                "records one after the other, then the directory");
    }

    private void checkHeader(ZipEntry entry, ByteBuffer header, byte[] name) throws IOException {
        byte[] localName = new byte[name.length];
        if (header.getInt(0) != LOCAL) {
            throw region.malformed(
                    entry.header(),
                    "no header for '%s'".formatted(entry.name()),
                    "its signature PK\\3\\4");
        }
        header.get(LOCAL_SIZE, localName);
        if (ZipDirectory.u2(header, 26) != name.length || !Arrays.equals(name, localName)) {
            throw region.malformed(
                    entry.header(),
                    "the header of another record",
                    "'%s', as the directory says".formatted(entry.name()));
        }
        checkStored(
                region,
                entry.header(),
                entry.name(),
                ZipDirectory.u2(header, 6),
                ZipDirectory.u2(header, 8));
        boolean described = (ZipDirectory.u2(header, 6) & 8) != 0;
        boolean agrees = described == entry.hasDescriptor();
        // With a descriptor they may be left out here.
        agrees &= says(header, 18, entry.size(), described);
        agrees &= says(header, 22, entry.size(), described);
        int crc = header.getInt(14);
        agrees &= crc == entry.crc() || (described && crc == 0);
        if (!agrees) {
            throw disagree(entry.header(), entry);
        }
    }

    private static boolean says(ByteBuffer header, int at, long size, boolean described) {
        return agrees(ZipDirectory.u4(header, at), size, ZipDirectory.MAX_U4)
                || (described && ZipDirectory.u4(header, at) == 0);
    }

    /// The fields fill what the header says is theirs, or the data would not be where it says; a
    /// size in them is the directory's, and torch's padding is of one byte value.
    private void checkExtra(ZipEntry entry, ByteBuffer header, ByteBuffer extra)
            throws IOException {
        while (extra.hasRemaining()) {
            int id = extra.remaining() < 4 ? -1 : Short.toUnsignedInt(extra.getShort());
            int size = id < 0 ? 0 : Short.toUnsignedInt(extra.getShort());
            if (id < 0 || size > extra.remaining()) {
                throw region.malformed(
                        entry.header(),
                        "extra fields of '%s' that do not end where its data begins"
                                .formatted(entry.name()),
                        "whole fields");
            }
            ByteBuffer field = extra.slice(extra.position(), size).order(ByteOrder.LITTLE_ENDIAN);
            extra.position(extra.position() + size);
            boolean sound =
                    switch (id) {
                        case ZIP64 -> entry.hasDescriptor() || isSize(entry, header, field);
                        case TORCH_PADDING -> isOneValue(field);
                        default -> true;
                    };
            if (!sound) {
                throw region.malformed(
                        entry.header(),
                        "an extra field of '%s' that is not as it was written"
                                .formatted(entry.name()),
                        "its size, or padding");
            }
        }
    }

    /// Both sizes where both are saturated.
    private static boolean isSize(ZipEntry entry, ByteBuffer header, ByteBuffer field) {
        for (int at : new int[] {22, 18}) {
            if (ZipDirectory.u4(header, at) == ZipDirectory.MAX_U4
                    && (field.remaining() < 8 || field.getLong() != entry.size())) {
                return false;
            }
        }
        return true;
    }

    private static boolean isOneValue(ByteBuffer bytes) {
        for (int i = 1; i < bytes.limit(); i++) {
            if (bytes.get(i) != bytes.get(0)) {
                return false;
            }
        }
        return true;
    }

    /// Checks the descriptor of the record before, where it has one with the usual signature.
    private void descriptor(long gap, @Nullable ByteBuffer bytes) throws IOException {
        if (before == null || !before.hasDescriptor()) {
            return;
        }
        if (gap < 12) {
            throw disagree(end, before);
        }
        ByteBuffer found = bytes == null ? region.read(end, (int) Math.min(gap, 24)) : bytes;
        if (found.getInt(0) != DESCRIPTOR || found.limit() < 16) {
            return;
        }
        boolean narrow =
                ZipDirectory.u4(found, 8) == before.size()
                        && ZipDirectory.u4(found, 12) == before.size();
        boolean wide =
                gap >= 24
                        && found.getLong(8) == before.size()
                        && found.getLong(16) == before.size();
        if (found.getInt(4) != before.crc() || !(narrow || wide)) {
            throw disagree(end, before);
        }
    }

    private IOException disagree(long at, ZipEntry entry) {
        return region.malformed(
                at,
                "another size or CRC-32 of '%s' than in the directory".formatted(entry.name()),
                "%d bytes, CRC-32 %08x".formatted(entry.size(), entry.crc()));
    }

    static void checkStored(Region region, long at, String name, int flags, int method)
            throws IOException {
        if ((flags & 0x2041) != 0) {
            throw region.malformed(
                    at,
                    "'%s' is encrypted".formatted(name),
                    "records as torch.save writes them",
                    "decrypt the archive and pack its records again without compression");
        }
        if (method != 0) {
            throw region.malformed(
                    at,
                    "'%s' is compressed (method %d)".formatted(name, method),
                    "stored records, which can be read in place",
                    "load the file with torch and save it again");
        }
    }

    /// A value of few bytes against that of 8 which replaces it where it is saturated.
    static boolean agrees(long narrow, long wide, long saturated) {
        return narrow == saturated ? wide >= 0 : narrow == wide;
    }
}
