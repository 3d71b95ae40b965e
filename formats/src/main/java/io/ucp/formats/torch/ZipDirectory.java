package io.ucp.formats.torch;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// Reads the directory of a zip of stored records; [ZipRecords] finds where their data is.
///
/// Stricter than zip allows, as a file of numbers must be: no comment, no compression, no
/// encryption, no record twice, none over another, and what the directory says of a record must
/// agree with what stands beside the record itself.
///
/// Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
final class ZipDirectory {
    private static final int END_SIZE = 22;
    private static final int END_64_SIZE = 56;
    private static final int LOCATOR_SIZE = 20;
    private static final int CENTRAL_SIZE = 46;
    private static final int END = 0x06054b50;
    private static final int END_64 = 0x06064b50;
    private static final int LOCATOR = 0x07064b50;
    private static final int CENTRAL = 0x02014b50;
    static final long MAX_U4 = 0xffff_ffffL;

    private final Region region;

    private ZipDirectory(Region region) {
        this.region = region;
    }

    /// The records in the order of the directory, with offsets in the file.
    static List<TorchRecord> read(Region region) throws IOException {
        ZipDirectory zip = new ZipDirectory(region);
        Place place = zip.place();
        List<ZipEntry> entries = zip.entries(place);
        return zip.locate(entries, place.offset());
    }

    /// Where the central directory is.
    private record Place(long offset, long size, long count) {}

    private Place place() throws IOException {
        long end = region.length() - END_SIZE;
        if (end < 0) {
            throw noEnd();
        }
        int tailSize = (int) Math.min(region.length(), END_SIZE + LOCATOR_SIZE + END_64_SIZE);
        ByteBuffer tail = region.read(region.length() - tailSize, tailSize);
        int at = tailSize - END_SIZE;
        if (tail.getInt(at) != END || tail.getShort(at + 20) != 0) {
            throw noEnd();
        }
        long size = u4(tail, at + 12);
        Place place = new Place(u4(tail, at + 16), size, u2(tail, at + 10));
        if (tail.getInt(at + 4) != 0 || u2(tail, at + 8) != u2(tail, at + 10)) {
            throw region.malformed(end, "a zip on several disks", "one file");
        }
        boolean wide = at >= LOCATOR_SIZE && tail.getInt(at - LOCATOR_SIZE) == LOCATOR;
        long past = end;
        if (wide) {
            past = wideEnd(tail, at - LOCATOR_SIZE);
            place = widePlace(past, place);
        } else if (place.offset() == MAX_U4 || place.size() == MAX_U4) {
            throw region.malformed(end, "no zip64 end record", "one, as the sizes are");
        }
        check(place, past);
        return place;
    }

    private IOException noEnd() {
        return region.malformed(
                Math.max(0, region.length() - END_SIZE),
                "no zip end record at the end of the file",
                "a whole torch.save file");
    }

    /// Follows the locator to the zip64 end record.
    private long wideEnd(ByteBuffer tail, int locator) throws IOException {
        long offset = tail.getLong(locator + 8);
        long expected = region.length() - END_SIZE - LOCATOR_SIZE - END_64_SIZE;
        if (offset != expected) {
            throw region.malformed(
                    region.length() - END_SIZE - LOCATOR_SIZE,
                    "a zip64 end record at %d".formatted(offset),
                    "it directly before its locator, at %d".formatted(expected));
        }
        return offset;
    }

    private Place widePlace(long offset, Place narrow) throws IOException {
        ByteBuffer end = region.read(offset, END_64_SIZE);
        Place wide = new Place(end.getLong(48), end.getLong(40), end.getLong(32));
        boolean agrees =
                ZipRecords.agrees(narrow.offset(), wide.offset(), MAX_U4)
                        && ZipRecords.agrees(narrow.size(), wide.size(), MAX_U4)
                        && ZipRecords.agrees(narrow.count(), wide.count(), 0xffff);
        boolean whole = end.getInt(0) == END_64 && end.getLong(4) == END_64_SIZE - 12;
        if (!whole || !agrees || end.getLong(24) != wide.count()) {
            throw region.malformed(
                    offset, "two end records that disagree", "the same directory in both");
        }
        return wide;
    }

    private void check(Place place, long past) throws IOException {
        if (place.offset() < 0
                || place.size() < 0
                || place.offset() > past - place.size()
                || place.offset() + place.size() != past) {
            throw region.malformed(
                    past,
                    "a directory of %d bytes at %d".formatted(place.size(), place.offset()),
                    "one that ends here");
        }
        if (place.count() < 0 || place.count() > place.size() / CENTRAL_SIZE) {
            throw region.malformed(
                    past,
                    "%d records in %d bytes".formatted(place.count(), place.size()),
                    "at least %d bytes a record".formatted(CENTRAL_SIZE));
        }
        if (place.size() > Integer.MAX_VALUE - 8) {
            throw region.malformed(
                    place.offset(),
                    "a directory of %d bytes".formatted(place.size()),
                    "less than 2 GiB",
                    "split the state over several files");
        }
    }

    private List<ZipEntry> entries(Place place) throws IOException {
        ByteBuffer directory = region.read(place.offset(), (int) place.size());
        List<ZipEntry> entries = new ArrayList<>();
        Set<String> names = new HashSet<>();
        for (long i = 0; i < place.count(); i++) {
            long at = place.offset() + directory.position();
            ZipEntry entry = entry(directory, at);
            if (!names.add(entry.name())) {
                throw region.malformed(at, "'%s' twice".formatted(entry.name()), "each name once");
            }
            entries.add(entry);
        }
        if (directory.hasRemaining()) {
            throw region.malformed(
                    place.offset() + directory.position(),
                    "%d bytes after the last entry".formatted(directory.remaining()),
                    "%d entries to fill the directory".formatted(place.count()));
        }
        return entries;
    }

    private ZipEntry entry(ByteBuffer directory, long at) throws IOException {
        int start = directory.position();
        if (directory.remaining() < CENTRAL_SIZE || directory.getInt(start) != CENTRAL) {
            throw region.malformed(at, "no directory entry", "its signature PK\\1\\2");
        }
        int nameSize = u2(directory, start + 28);
        int extraSize = u2(directory, start + 30);
        int commentSize = u2(directory, start + 32);
        int whole = CENTRAL_SIZE + nameSize + extraSize + commentSize;
        if (directory.remaining() < whole) {
            throw region.malformed(at, "an entry past the directory's end", "it inside");
        }
        byte[] name = new byte[nameSize];
        directory.get(start + CENTRAL_SIZE, name);
        String text = new String(name, StandardCharsets.UTF_8);
        ByteBuffer extra =
                directory
                        .slice(start + CENTRAL_SIZE + nameSize, extraSize)
                        .order(ByteOrder.LITTLE_ENDIAN);
        directory.position(start + whole);
        int flags = u2(directory, start + 8);
        ZipRecords.checkStored(region, at, text, flags, u2(directory, start + 10));
        long[] wide = {
            u4(directory, start + 24), u4(directory, start + 20), u4(directory, start + 42)
        };
        widen(at, extra, wide);
        if (wide[0] != wide[1] || wide[0] < 0 || wide[2] < 0) {
            throw region.malformed(
                    at,
                    "'%s' of %d bytes stored as %d".formatted(text, wide[0], wide[1]),
                    "the same size twice");
        }
        return new ZipEntry(text, wide[2], wide[0], directory.getInt(start + 16), flags);
    }

    /// Takes the values that do not fit in 4 bytes from the zip64 extra field, in their order:
    /// size, stored size, header offset.
    private void widen(long at, ByteBuffer extra, long[] values) throws IOException {
        boolean needed = values[0] == MAX_U4 || values[1] == MAX_U4 || values[2] == MAX_U4;
        while (extra.remaining() >= 4) {
            int id = Short.toUnsignedInt(extra.getShort());
            int size = Short.toUnsignedInt(extra.getShort());
            if (size > extra.remaining()) {
                throw region.malformed(at, "an extra field past the entry's end", "it inside");
            }
            ByteBuffer field = extra.slice(extra.position(), size).order(ByteOrder.LITTLE_ENDIAN);
            extra.position(extra.position() + size);
            if (id == 1 && needed) {
                for (int i = 0; i < values.length; i++) {
                    if (values[i] == MAX_U4 && field.remaining() >= 8) {
                        values[i] = field.getLong();
                    }
                }
                return;
            }
        }
        if (needed) {
            throw region.malformed(at, "no zip64 extra field", "one, as a size is saturated");
        }
    }

    /// Reads what stands between the records, in the order of the file.
    private List<TorchRecord> locate(List<ZipEntry> entries, long directory) throws IOException {
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < entries.size(); i++) {
            order.add(i);
        }
        order.sort(Comparator.comparingLong(i -> entries.get(i).header()));
        TorchRecord[] records = new TorchRecord[entries.size()];
        ZipRecords between = new ZipRecords(region, directory, isChecked(entries));
        for (int i : order) {
            records[i] = between.next(entries.get(i));
        }
        between.last();
        return List.of(records);
    }

    /// Where torch is told to leave the CRC-32s out it writes 0 for each, also for the text of
    /// `version`, whose CRC-32 is another. Source: torch `serialization.py` (`set_crc32_options`).
    private static boolean isChecked(List<ZipEntry> entries) {
        return entries.stream().anyMatch(e -> e.crc() != 0);
    }

    static int u2(ByteBuffer bytes, int at) {
        return Short.toUnsignedInt(bytes.getShort(at));
    }

    static long u4(ByteBuffer bytes, int at) {
        return Integer.toUnsignedLong(bytes.getInt(at));
    }
}
