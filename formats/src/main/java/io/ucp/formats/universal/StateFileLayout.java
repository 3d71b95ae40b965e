package io.ucp.formats.universal;

import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.tensor.Piece;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// A state file to the byte.
///
/// @param offsets per tensor of the [StateFile]: where the body of its first batch begins; -1 in a
///   compressed file
record StateFileLayout(TargetFile target, long[] offsets) {
    static StateFileLayout of(StateFile file, int level) {
        return file.compression().compresses()
                ? compressed(file, level)
                : new Builder(file).plain();
    }

    /// The uncompressed view of a compressed file: the header, then every tensor, end to end.
    private static StateFileLayout compressed(StateFile file, int level) {
        byte[] header = ArrowFraming.header(file.dtype(), file.compression(), file.index());
        List<Part> parts = new ArrayList<>();
        parts.add(new Part.Literal(0, header));
        long at = header.length;
        long[] offsets = new long[file.tensors().size()];
        for (int t = 0; t < offsets.length; t++) {
            offsets[t] = -1;
            ParameterFacts facts = file.tensors().get(t).facts();
            if (facts.shape().count() > 0) {
                Part part = elements(file, facts, at, List.of(Piece.whole(facts.shape())));
                parts.add(part);
                at = Math.addExact(at, part.size());
            }
        }
        return new StateFileLayout(
                new TargetFile(
                        file.path(),
                        at,
                        parts,
                        List.of(),
                        Optional.of(new ZstdBatches(file, header.length, level))),
                offsets);
    }

    private static Part.Elements elements(
            StateFile file, ParameterFacts facts, long offset, List<Piece> pieces) {
        long count = pieces.stream().mapToLong(Piece::count).sum();
        return new Part.Elements(
                offset, new Elementwise(facts.name(), file.state(), file.dtype(), count, pieces));
    }

    /// Lays one file out, gathering what lies between two bodies into one literal.
    private static final class Builder {
        private final StateFile file;
        private final List<Part> parts = new ArrayList<>();
        private final ByteArrayOutputStream gap = new ByteArrayOutputStream();
        private final List<ArrowFraming.Place> places = new ArrayList<>();
        private long at;

        Builder(StateFile file) {
            this.file = file;
        }

        StateFileLayout plain() {
            String index = file.index();
            gap.writeBytes(ArrowFraming.header(file.dtype(), file.compression(), index));
            long[] offsets = new long[file.tensors().size()];
            for (int t = 0; t < offsets.length; t++) {
                offsets[t] = tensor(file.tensors().get(t).facts());
            }
            ArrowFraming.Place[] batches = places.toArray(ArrowFraming.Place[]::new);
            gap.writeBytes(ArrowFraming.end(file.dtype(), file.compression(), index, batches));
            flush();
            TargetFile target = new TargetFile(file.path(), at, parts, List.of(), Optional.empty());
            return new StateFileLayout(target, offsets);
        }

        /// Gives the place of its first body.
        private long tensor(ParameterFacts facts) {
            long count = facts.shape().count();
            if (count <= file.rows()) {
                return batch(facts, count == 0 ? List.of() : List.of(Piece.whole(facts.shape())));
            }
            Piece whole = Piece.whole(facts.shape());
            long first = -1;
            for (long from = 0; from < count; from += file.rows()) {
                long body = batch(facts, whole.cut(from, Math.min(count, from + file.rows())));
                first = first < 0 ? body : first;
            }
            return first;
        }

        private long batch(ParameterFacts facts, List<Piece> pieces) {
            long rows = pieces.stream().mapToLong(Piece::count).sum();
            long size = rows * file.dtype().width();
            byte[] message = ArrowFraming.batch(file.compression(), rows, size);
            places.add(
                    new ArrowFraming.Place(
                            at + gap.size(), message.length, ArrowFraming.padded(size)));
            gap.writeBytes(message);
            flush();
            long body = at;
            if (size > 0) {
                parts.add(elements(file, facts, at, pieces));
                at = Math.addExact(at, size);
            }
            gap.writeBytes(new byte[Math.toIntExact(ArrowFraming.padded(size) - size)]);
            return body;
        }

        private void flush() {
            if (gap.size() > 0) {
                parts.add(new Part.Literal(at, gap.toByteArray()));
                at += gap.size();
                gap.reset();
            }
        }
    }
}
