package io.ucp.formats.universal;

import io.ucp.formats.Elementwise;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetTree;
import io.ucp.io.ByteReader;
import io.ucp.io.ChecksumField;
import io.ucp.io.WindowAssembler;
import io.ucp.tensor.Piece;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.CRC32;

/// Writes a target tree in the plainest way: every file in memory, one after the other.
final class WrittenTree {
    private final Path folder;
    private final TensorBytes tensors;

    private WrittenTree(Path folder, TensorBytes tensors) {
        this.folder = folder;
        this.tensors = tensors;
    }

    static void write(TargetTree tree, Path folder, TensorBytes tensors) throws IOException {
        WrittenTree written = new WrittenTree(folder, tensors);
        for (TargetFile file : tree.files()) {
            written.write(file.path(), written.bytes(file));
        }
        for (TargetTree.SmallFile file :
                tree.closing().apply(new TargetTree.Outcome(tensors.digests(), Map.of()))) {
            written.write(file.path(), file.bytes());
        }
        for (TargetTree.SmallFile file : tree.pointers()) {
            written.write(file.path(), file.bytes());
        }
    }

    private void write(String path, byte[] bytes) throws IOException {
        Path file = folder.resolve(path);
        Files.createDirectories(file.getParent());
        Files.write(file, bytes);
    }

    private byte[] bytes(TargetFile file) throws IOException {
        byte[] view = new byte[Math.toIntExact(file.size())];
        for (Part part : file.parts()) {
            int at = Math.toIntExact(part.offset());
            switch (part) {
                case Part.Literal(_, byte[] bytes) ->
                        System.arraycopy(bytes, 0, view, at, bytes.length);
                case Part.Zeros _ -> {}
                case Part.Copied copied -> {
                    try (ByteReader reader = copied.source().open()) {
                        ByteBuffer into = ByteBuffer.wrap(view, at, (int) copied.size());
                        reader.read(copied.sourceOffset(), into);
                    }
                }
                case Part.Elements(_, Elementwise of) -> elements(of, view, at);
            }
        }
        for (ChecksumField field : file.checksums()) {
            CRC32 crc = new CRC32();
            crc.update(view, (int) field.from(), (int) field.size());
            for (long at : field.at()) {
                ByteBuffer.wrap(view)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putInt((int) at, (int) crc.getValue());
            }
        }
        return file.assembler().isPresent() ? assemble(file.assembler().get(), view) : view;
    }

    private static byte[] assemble(WindowAssembler assembler, byte[] view) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        long[] sizes = new long[assembler.cuts().size()];
        int from = 0;
        WindowAssembler.Encoder encoder = assembler.encoder();
        for (int w = 0; w < sizes.length; w++) {
            int to = Math.toIntExact(assembler.cuts().get(w));
            // Direct and heap buffers in turn: both are allowed.
            ByteBuffer raw =
                    w % 2 == 0
                            ? ByteBuffer.wrap(view, from, to - from)
                            : ByteBuffer.allocateDirect(to - from)
                                    .put(view, from, to - from)
                                    .flip();
            byte[] encoded = drained(encoder.encode(w, raw));
            sizes[w] = encoded.length;
            out.writeBytes(encoded);
            from = to;
        }
        encoder.close();
        out.writeBytes(drained(assembler.epilogue(sizes)));
        return out.toByteArray();
    }

    private static byte[] drained(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private void elements(Elementwise of, byte[] into, int base) {
        byte[] tensor = tensors.get(of.parameter(), of.state());
        int width = of.dtype().width();
        for (Piece piece : of.pieces()) {
            long[] index = new long[piece.extent().length];
            for (long n = 0; n < piece.count(); n++) {
                long whole = 0;
                long local = piece.localOffset();
                for (int d = 0; d < index.length; d++) {
                    whole = whole * piece.grid()[d] + piece.start()[d] + index[d];
                    local += index[d] * piece.localStride()[d];
                }
                System.arraycopy(
                        tensor, (int) whole * width, into, base + (int) local * width, width);
                for (int d = index.length - 1; d >= 0 && ++index[d] == piece.extent()[d]; d--) {
                    index[d] = 0;
                }
            }
        }
    }
}
