package io.ucp.plan;

import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;
import io.ucp.tensor.Transfer;
import java.util.List;

/// One instruction on a target file: the whole instruction set. `offset` is in bytes from the start
/// of the target.
public sealed interface Step {
    /// First byte it writes.
    long offset();

    /// One past the last byte it writes; strided steps may leave gaps in between to other steps.
    long end();

    /// Bytes known at planning time.
    record Literal(long offset, byte[] bytes) implements Step {
        @Override
        public long end() {
            return offset + bytes.length;
        }
    }

    /// Zeros.
    record Fill(long offset, long size) implements Step {
        @Override
        public long end() {
            return offset + size;
        }
    }

    /// Bytes of a source, unchanged: no elements, no replicas.
    record Bytes(long offset, ByteSource source, long sourceOffset, long size) implements Step {
        @Override
        public long end() {
            return offset + size;
        }
    }

    /// Elements of a state. `moves.to()` positions count elements of `to` dtype from `base`.
    ///
    /// @param base byte in the target of position 0
    /// @param to dtype in the target; differs from the origins' where the step casts
    /// @param origins at least one, all moving to the same target positions; the first is the value
    ///     for [Rule#EQUAL] and [Rule#FIRST]
    /// @param label index in [CopyPlan#labels], for messages and digests
    record Elements(long base, DType to, Rule rule, List<Origin> origins, int label)
            implements Step {
        public Elements {
            origins = List.copyOf(origins);
        }

        @Override
        public long offset() {
            return base + origins.getFirst().moves().to() * to.width();
        }

        @Override
        public long end() {
            return base + origins.getFirst().moves().toEnd() * to.width();
        }
    }

    /// Where the elements come from: position `p` is at byte `base + p * dtype.width()`.
    ///
    /// @param copy number of the copy (replica) in its state, for messages
    record Origin(ByteSource source, long base, DType dtype, Transfer moves, int copy) {}

    enum Rule {
        EQUAL,
        FIRST,
        AVERAGE
    }
}
