package io.ucp.plan;

import io.ucp.formats.Elementwise;
import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Transfer;

import java.util.List;
import java.util.Optional;

/// One instruction on a target file: the whole instruction set. A step writes the bytes `[offset,
/// end)` of the target, all of them.
public sealed interface Step {
    long offset();

    long size();

    default long end() {
        return offset() + size();
    }

    /// Bytes known at planning time.
    record Literal(long offset, byte[] bytes) implements Step {
        @Override
        public long size() {
            return bytes.length;
        }
    }

    /// Zeros.
    record Fill(long offset, long size) implements Step {}

    /// Bytes of a source, unchanged: no elements, no replicas.
    record Bytes(long offset, ByteSource source, long sourceOffset, long size) implements Step {}

    /// Elements of a state.
    ///
    /// @param of what lies here; its dtype differs from `from` where the step casts
    /// @param from dtype of the copies
    /// @param copies at least one, each of which holds every element; the first is no [Rule#EQUAL]
    /// @param label index in [CopyPlan#labels], for messages and digests
    /// @param kept what the value has to be after the cast, where the source says
    record Elements(
            long offset,
            Elementwise of,
            DType from,
            List<Copy> copies,
            int label,
            Optional<Kept> kept)
            implements Step {
        public Elements {
            copies = List.copyOf(copies);
        }

        /// A step whose cast nothing is held against.
        public Elements(long offset, Elementwise of, DType from, List<Copy> copies, int label) {
            this(offset, of, from, copies, label, Optional.empty());
        }

        @Override
        public long size() {
            return of.size();
        }

        /// Whether the value is a mean.
        public boolean averages() {
            return copies.getFirst().rule() == Rule.AVERAGE;
        }

        /// Elements that the step writes.
        public long count() {
            return of.count();
        }

        /// Their dtype in the target.
        public DType to() {
            return of.dtype();
        }

        /// Bytes that are read for it: every element once of each copy.
        public long bytesRead() {
            long each = (long) from.width() * copies.size();
            return count() * (kept.isPresent() ? each + to().width() : each);
        }

        /// Row-major index in the parameter of the element at a position of this step.
        public long index(long position) {
            for (Piece piece : of.pieces()) {
                for (Piece element : piece.cut(position, position + 1)) {
                    return element.firstIndex();
                }
            }
            throw new IllegalArgumentException("no element at " + position);
        }
    }

    /// Where one copy (replica) holds the elements of a step: origins whose moves tile `[0,
    /// of.count())` exactly, found by target position.
    record Copy(Spans<Origin> origins, Rule rule) {
        /// Whether elements `[low, high)` lie in their sources in the target's order.
        public boolean keepsOrder(long low, long high) {
            return origins.over(low, high).stream().allMatch(origin -> origin.moves().keepsOrder());
        }
    }

    /// The model's own weights, where a step makes weights of their master.
    ///
    /// @param copy of the dtype that the step casts to
    /// @param label whose it is
    record Kept(Copy copy, int label) {}

    /// Where elements come from: `from` position `p` of the moves is at byte `base + p * width` of
    /// the source; `to` positions count elements from the step's offset.
    record Origin(ByteSource source, long base, Transfer moves) {}

    /// What a copy of a step is for.
    enum Rule {
        /// The same as the last copy before it that is no such one; a difference is an error of the
        /// checkpoint.
        EQUAL,
        /// The value, where it is the first copy of all. A later one may differ from the value;
        /// differences are counted.
        FIRST,
        /// The value after the cast.
        ROUNDED,
        /// The value is the mean of these, summed in fp64 and rounded once. They go before those
        /// that may differ from it.
        AVERAGE
    }
}
