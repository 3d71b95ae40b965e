package io.ucp.formats;

import io.ucp.io.ByteSource;
import io.ucp.io.ChecksumField;
import io.ucp.io.WindowAssembler;

import java.util.List;
import java.util.Optional;

/// A file to be written: parts that tile `[0, size)` in order, known to the byte before any data is
/// read. A format makes it; the planner turns it into steps; executing needs no format.
///
/// @param path relative to the output folder, `/` between parts
/// @param size bytes (of the uncompressed view where there is an `assembler`)
/// @param checksums CRC-32 fields to fill in once their ranges are known
/// @param assembler for files whose bytes depend on the data (compressed)
public record TargetFile(
        String path,
        long size,
        List<Part> parts,
        List<ChecksumField> checksums,
        Optional<WindowAssembler> assembler) {
    public TargetFile {
        parts = List.copyOf(parts);
        checksums = List.copyOf(checksums);
        long at = 0;
        for (Part part : parts) {
            if (part.offset() != at) {
                throw new IllegalArgumentException(
                        "%s: part at %d, expected at %d".formatted(path, part.offset(), at));
            }
            at = Math.addExact(at, part.size());
        }
        if (at != size) {
            throw new IllegalArgumentException(
                    "%s: parts end at %d of %d".formatted(path, at, size));
        }
    }

    /// `offset` and `size` in bytes from the start of the file.
    public sealed interface Part {
        long offset();

        long size();

        /// The same bytes, `by` bytes further behind.
        default Part moved(long by) {
            long moved = Math.addExact(offset(), by);
            return switch (this) {
                case Literal literal -> new Literal(moved, literal.bytes());
                case Zeros zeros -> new Zeros(moved, zeros.size());
                case Copied(_, ByteSource source, long from, long size) ->
                        new Copied(moved, source, from, size);
                case Elements(_, Elementwise of) -> new Elements(moved, of);
            };
        }

        /// Bytes known now: headers.
        record Literal(long offset, byte[] bytes) implements Part {
            @Override
            public long size() {
                return bytes.length;
            }
        }

        record Zeros(long offset, long size) implements Part {}

        /// Bytes of a source file, unchanged.
        record Copied(long offset, ByteSource source, long sourceOffset, long size)
                implements Part {}

        /// Elements of a parameter's state.
        record Elements(long offset, Elementwise of) implements Part {
            @Override
            public long size() {
                return of.size();
            }
        }
    }
}
